//! Reading tables of numbers from a `.safetensors` file: the length of a header, the header in JSON, the numbers.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use super::ModelError;

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Kind {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I8,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::I8 => 1,
        }
    }

    fn read(self, bytes: &[u8]) -> f32 {
        let eight = || <[u8; 8]>::try_from(bytes).unwrap_or_default();
        let four = || <[u8; 4]>::try_from(bytes).unwrap_or_default();
        let two = || <[u8; 2]>::try_from(bytes).unwrap_or_default();
        match self {
            Self::F64 => f64::from_le_bytes(eight()) as f32,
            Self::F32 => f32::from_le_bytes(four()),
            Self::F16 => half(u16::from_le_bytes(two())),
            Self::BF16 => f32::from_bits(u32::from(u16::from_le_bytes(two())) << 16),
            Self::I64 => i64::from_le_bytes(eight()) as f32,
            Self::I32 => i32::from_le_bytes(four()) as f32,
            Self::I8 => bytes.first().map_or(0.0, |byte| f32::from(byte.cast_signed())),
        }
    }
}

/// A number of 16 bits: 1 sign, 5 exponent, 10 fraction.
fn half(bits: u16) -> f32 {
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * 2.0_f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1.0 + fraction) * 2.0_f32.powi(i32::from(exponent) - 15),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// A table of numbers, of one column if it is a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    kind: Kind,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    bytes: Range<usize>,
}

/// A file, read whole.
#[derive(Debug)]
pub(crate) struct Safetensors {
    bytes: Vec<u8>,
    tables: BTreeMap<String, Table>,
}

impl Safetensors {
    /// Reads what the file says of its tables.
    ///
    /// # Errors
    /// It is no such file, or tables lie outside of it.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, ModelError> {
        #[derive(Deserialize)]
        struct Entry {
            dtype: Kind,
            shape: Vec<usize>,
            data_offsets: [usize; 2],
        }
        let damaged = |what: &str| ModelError(format!("model.safetensors: {what}"));
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| damaged("it is too short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let header = rest.get(..length).ok_or_else(|| damaged("its header does not end"))?;
        let header: BTreeMap<String, Value> =
            serde_json::from_slice(header).map_err(|error| damaged(&error.to_string()))?;
        let mut tables = BTreeMap::new();
        for (name, entry) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry: Entry =
                serde_json::from_value(entry).map_err(|error| damaged(&format!("the table `{name}`: {error}")))?;
            let (rows, columns) = match entry.shape[..] {
                [rows] => (rows, 1),
                [rows, columns] => (rows, columns),
                _ => continue,
            };
            let [begin, end] = entry.data_offsets;
            let size = rows.checked_mul(columns).and_then(|count| count.checked_mul(entry.dtype.size()));
            if end < begin || rest.len() - length < end || size != Some(end - begin) {
                return Err(damaged(&format!("the table `{name}` has not the size it says")));
            }
            let begin_of_data = 8 + length;
            let bytes = begin_of_data + begin..begin_of_data + end;
            tables.insert(name, Table { kind: entry.dtype, rows, columns, bytes });
        }
        Ok(Self { bytes, tables })
    }

    /// The table called `name`.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// The numbers of one row. There are none in a row that there is not.
    pub(crate) fn row<'a>(&'a self, table: &Table, row: usize) -> impl Iterator<Item = f32> + use<'a> {
        let (kind, size) = (table.kind, table.kind.size());
        let width = table.columns * size;
        let begin = table.bytes.start.saturating_add(row.saturating_mul(width));
        let bytes = if row < table.rows { self.bytes.get(begin..begin + width) } else { None };
        bytes.unwrap_or_default().chunks_exact(size.max(1)).map(move |bytes| kind.read(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn tables_are_read_in_every_kind_of_number() {
        let header = r#"{"__metadata__":{"a":"b"},
            "f32":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
            "f16":{"dtype":"F16","shape":[1,3],"data_offsets":[16,22]},
            "i8":{"dtype":"I8","shape":[2],"data_offsets":[22,24]},
            "bf16":{"dtype":"BF16","shape":[1],"data_offsets":[24,26]},
            "i64":{"dtype":"I64","shape":[1],"data_offsets":[26,34]},
            "f64":{"dtype":"F64","shape":[1],"data_offsets":[34,42]}}"#;
        let mut data = Vec::new();
        data.extend([1.5_f32, -2.0, 0.25, 3.0].iter().flat_map(|number| number.to_le_bytes()));
        data.extend([0x3e00_u16, 0xc000, 0x0001].iter().flat_map(|bits| bits.to_le_bytes()));
        data.extend([7, 0xff]);
        data.extend(0xbf80_u16.to_le_bytes());
        data.extend(42_i64.to_le_bytes());
        data.extend(0.5_f64.to_le_bytes());
        let file = Safetensors::parse(file(header, &data)).unwrap();
        let row = |name: &str, row| file.row(file.table(name).unwrap(), row).collect::<Vec<f32>>();
        assert_eq!(row("f32", 1), [0.25, 3.0]);
        assert_eq!(row("f32", 2), [] as [f32; 0]);
        assert_eq!(row("f16", 0), [1.5, -2.0, 2.0_f32.powi(-24)]);
        assert_eq!((row("i8", 0), row("i8", 1)), (vec![7.0], vec![-1.0]));
        assert_eq!((row("bf16", 0), row("i64", 0), row("f64", 0)), (vec![-1.0], vec![42.0], vec![0.5]));
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn what_is_damaged_is_refused() {
        for bytes in [
            Vec::new(),
            file("{", &[]),
            u64::MAX.to_le_bytes().to_vec(),
            file(r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 4]),
            file(r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, &[0; 8]),
            file(r#"{"x":{"dtype":"F32","shape":[9223372036854775807,3],"data_offsets":[0,8]}}"#, &[0; 8]),
            file(r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, &[0; 8]),
        ] {
            assert!(Safetensors::parse(bytes).is_err());
        }
    }
}
