//! Vectors of one byte a number: a quarter of the room, and a dot product that is a plain loop over integers.

/// A vector of length 1, each number a multiple of `scale`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packed {
    pub(crate) scale: f32,
    pub(crate) numbers: Vec<u8>,
}

impl Packed {
    /// The direction of `vector`. `None`: it has none.
    pub(crate) fn of(vector: &[f32]) -> Option<Self> {
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let largest = vector.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        if !length.is_normal() || !largest.is_normal() {
            return None;
        }
        let numbers = vector.iter().map(|number| ((number / largest * 127.0).round() as i8).cast_unsigned()).collect();
        Some(Self { scale: largest / length / 127.0, numbers })
    }

    /// The cosine of the angle to another, about. `None`: it comes from elsewhere, they cannot be compared.
    pub(crate) fn similarity(&self, scale: f32, numbers: &[u8]) -> Option<f32> {
        (self.numbers.len() == numbers.len()).then(|| dot(&self.numbers, numbers) as f32 * self.scale * scale)
    }

    /// The numbers again.
    #[cfg(test)]
    pub(crate) fn unpacked(&self) -> Vec<f32> {
        self.numbers.iter().map(|number| f32::from(number.cast_signed()) * self.scale).collect()
    }
}

/// Written so that compilers make vector instructions of it.
fn dot(a: &[u8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(a.cast_signed()) * i32::from(b.cast_signed())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_survive_packing() {
        let a: Vec<f32> = (0..256).map(|n| ((n * 37 % 101) as f32 - 50.0) * 3.0).collect();
        let b: Vec<f32> = (0..256).map(|n| (n * 53 % 97) as f32 - 30.0).collect();
        let length = |v: &[f32]| v.iter().map(|n| n * n).sum::<f32>().sqrt();
        let exact = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>() / length(&a) / length(&b);
        let (a, b) = (Packed::of(&a).unwrap(), Packed::of(&b).unwrap());
        assert!((a.similarity(b.scale, &b.numbers).unwrap() - exact).abs() < 0.01);
        assert!((a.similarity(a.scale, &a.numbers).unwrap() - 1.0).abs() < 0.01);
        assert!((length(&a.unpacked()) - 1.0).abs() < 0.01);
        assert_eq!(a.similarity(1.0, &[1, 2]), None);
        assert_eq!(Packed::of(&[0.0, 0.0]), None);
        assert_eq!(Packed::of(&[]), None);
    }
}
