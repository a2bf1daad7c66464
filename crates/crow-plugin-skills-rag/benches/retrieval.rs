//! What retrieval costs and what it finds: `cargo bench -p crow-plugin-skills-rag`, and `-- 1536` for vectors of that
//! length. 10,000 documents of one piece each, words as rare as words are (Zipf), vectors that follow the words.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crow_plugin_skills_rag::{Hit, Index};

const DOCUMENTS: usize = 10_000;
const VOCABULARY: usize = 20_000;
const WORDS: usize = 150;
const QUERIES: usize = 200;
const TOP: usize = 5;

/// How many of each list are merged, here as in the index.
const CANDIDATES: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let length = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(256);
    let place = tempfile::tempdir()?;
    let project = place.path().join("project");
    let mut random = Random(42);
    let documents = write(&project, &mut random)?;
    let mut index = Index::open(&place.path().join("skills.db"))?;
    let paths = ["**/*.md".to_owned()];

    let start = Instant::now();
    index.update(&project, &paths)?;
    println!("index of {DOCUMENTS} files, from nothing          {:>10.1?}", start.elapsed());
    let start = Instant::now();
    index.update(&project, &paths)?;
    println!("the same again, nothing has changed            {:>10.1?}", start.elapsed());
    let mut times = Vec::new();
    for (number, words) in documents.iter().enumerate().take(20) {
        fs::write(project.join(format!("{number:05}.md")), format!("{} changed{number}\n", text(words)))?;
        let start = Instant::now();
        index.update(&project, &paths)?;
        times.push(start.elapsed());
    }
    print("one of them has changed", &mut times);

    let words = directions(length, &mut random);
    let vectors = embed(&mut index, &project, &documents, &words)?;
    let exact = Exact::new(&documents, vectors);
    let (mut by_words, mut hybrid) = (Vec::new(), Vec::new());
    let (mut found, mut wanted, mut known) = ([0; 3], 0, [0; 2]);
    for _ in 0..QUERIES {
        // A prompt about one document: some of its words, some others, and some that only mean the same.
        let target = random.below(DOCUMENTS);
        let mut query: Vec<usize> = (0..8).map(|_| documents[target][random.below(WORDS)]).collect();
        query.extend((0..4).map(|_| random.word()));
        let vector = mean(&query, &words, &mut random);
        let prompt = text(&query);

        let start = Instant::now();
        let hits = index.search(&project, &prompt, None, TOP)?;
        by_words.push(start.elapsed());
        found[0] += exact.found(&hits, Some(&query), None);
        let alike = index.search(&project, "", Some(vector.clone()), TOP)?;
        found[1] += exact.found(&alike, None, Some(&vector));
        known[0] += usize::from(hits.iter().any(|hit| number_of(&hit.path) == Some(target)));
        let start = Instant::now();
        let hits = index.search(&project, &prompt, Some(vector.clone()), TOP)?;
        hybrid.push(start.elapsed());
        known[1] += usize::from(hits.iter().any(|hit| number_of(&hit.path) == Some(target)));

        found[2] += exact.found(&hits, Some(&query), Some(&vector));
        wanted += TOP;
    }
    print("search by words", &mut by_words);
    print(&format!("search by words and meaning, {length} numbers"), &mut hybrid);
    let share = |found: usize| 100.0 * found as f64 / wanted as f64;
    println!(
        "recall of the first {TOP} against brute force: words {:.1} %, meaning {:.1} %, both {:.1} %",
        share(found[0]),
        share(found[1]),
        share(found[2])
    );
    println!(
        "the document meant is among the first {TOP}: words {:.1} %, words and meaning {:.1} %",
        100.0 * known[0] as f64 / QUERIES as f64,
        100.0 * known[1] as f64 / QUERIES as f64
    );
    let size = fs::metadata(place.path().join("skills.db"))?.len();
    println!("size of the index                              {:>7} MB", size / 1_000_000);
    Ok(())
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{what:<46} p50 {:>8.2?}  p95 {:>8.2?}", at(50), at(95));
}

/// Writes the documents, and gives the words of each.
fn write(project: &Path, random: &mut Random) -> Result<Vec<Vec<usize>>, Box<dyn Error>> {
    fs::create_dir_all(project)?;
    (0..DOCUMENTS)
        .map(|number| {
            let words: Vec<usize> = (0..WORDS).map(|_| random.word()).collect();
            fs::write(project.join(format!("{number:05}.md")), text(&words))?;
            Ok(words)
        })
        .collect()
}

/// No stemmer changes such words.
fn text(words: &[usize]) -> String {
    words.iter().map(|word| format!("w{word}x")).collect::<Vec<_>>().join(" ")
}

fn number_of(path: &str) -> Option<usize> {
    Path::new(path).file_stem()?.to_str()?.parse().ok()
}

/// A direction for each word.
fn directions(length: usize, random: &mut Random) -> Vec<Vec<f32>> {
    (0..VOCABULARY).map(|_| (0..length).map(|_| random.unit() - 0.5).collect()).collect()
}

/// The direction of a text, rare words before frequent ones, and a little noise.
fn mean(text: &[usize], words: &[Vec<f32>], random: &mut Random) -> Vec<f32> {
    let mut sum = vec![0.0; words[0].len()];
    for word in text {
        let weight = (1.0 + *word as f32).ln();
        for (sum, number) in sum.iter_mut().zip(&words[*word]) {
            *sum += weight * number;
        }
    }
    let noise = sum.iter().map(|number| number.abs()).sum::<f32>() / sum.len() as f32;
    sum.iter().map(|number| number + (random.unit() - 0.5) * noise).collect()
}

fn embed(
    index: &mut Index,
    project: &Path,
    documents: &[Vec<usize>],
    words: &[Vec<f32>],
) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let mut random = Random(7);
    let vectors: Vec<Vec<f32>> = documents.iter().map(|document| mean(document, words, &mut random)).collect();
    let by_text: HashMap<String, usize> = documents.iter().map(|document| text(document)).zip(0..).collect();
    let mut times = Duration::ZERO;
    loop {
        let batch = index.unembedded(project, 64)?;
        if batch.is_empty() {
            break;
        }
        let of =
            |text: &str| by_text.get(text.split(" changed").next().unwrap_or_default()).map(|n| vectors[*n].clone());
        let batch: Vec<(i64, Vec<f32>)> =
            batch.into_iter().map(|(id, text)| (id, of(&text).unwrap_or_else(|| vec![1.0; words[0].len()]))).collect();
        let start = Instant::now();
        index.add_vectors(&batch)?;
        times += start.elapsed();
    }
    println!("storing the vectors of all                     {times:>10.1?}");
    Ok(vectors)
}

/// Everything compared with everything, in full precision, and merged by reciprocal rank.
struct Exact<'a> {
    documents: &'a [Vec<usize>],
    having: HashMap<usize, usize>,
    vectors: Vec<Vec<f32>>,
}

impl<'a> Exact<'a> {
    fn new(documents: &'a [Vec<usize>], vectors: Vec<Vec<f32>>) -> Self {
        let mut having = HashMap::new();
        for document in documents {
            for word in document.iter().collect::<HashSet<_>>() {
                *having.entry(*word).or_default() += 1;
            }
        }
        Self { documents, having, vectors }
    }

    /// How many of the hits are among the best by words, by meaning or by both.
    fn found(&self, hits: &[Hit], query: Option<&[usize]>, vector: Option<&[f32]>) -> usize {
        let best = self.best(query, vector);
        hits.iter().filter_map(|hit| number_of(&hit.path)).filter(|number| best.contains(number)).count()
    }

    fn best(&self, query: Option<&[usize]>, vector: Option<&[f32]>) -> Vec<usize> {
        let words: Option<HashSet<usize>> = query.map(|query| query.iter().copied().collect());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let bm25 = |document: &Vec<usize>| -> f64 {
            let weight = |word: &usize| {
                let count = document.iter().filter(|other| *other == word).count() as f64;
                let (all, having) = (self.documents.len() as f64, self.having.get(word).copied().unwrap_or(0) as f64);
                let rarity = ((all - having + 0.5) / (having + 0.5)).ln().max(1e-6);
                rarity * count * 2.2 / (count + 1.2)
            };
            words.iter().flatten().map(weight).sum()
        };
        let cosine = |vector: &[f32], of: &Vec<f32>| f64::from(dot(of, vector) / dot(of, of).sqrt());
        let by_words: Option<Vec<f64>> = words.as_ref().map(|_| self.documents.iter().map(bm25).collect());
        let by_meaning: Option<Vec<f64>> =
            vector.map(|vector| self.vectors.iter().map(|of| cosine(vector, of)).collect());
        let mut merged = vec![0.0; self.documents.len()];
        for scores in [by_words, by_meaning].into_iter().flatten() {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            for (rank, number) in order.into_iter().take(CANDIDATES).enumerate() {
                merged[number] += 1.0 / (61.0 + rank as f64);
            }
        }
        let mut order: Vec<usize> = (0..merged.len()).collect();
        order.sort_by(|a, b| merged[*b].total_cmp(&merged[*a]));
        order.truncate(TOP);
        order
    }
}

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 24) as f32
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    /// A word: the first one often, the last ones hardly ever.
    fn word(&mut self) -> usize {
        let share = f64::from(self.unit());
        ((VOCABULARY as f64).powf(share) as usize).min(VOCABULARY - 1)
    }
}
