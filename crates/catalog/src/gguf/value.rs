//! A setting's value, held as the bytes it has in the file: what is copied from one file
//! to another stays what it was, and a vocabulary of a quarter of a million words is one
//! allocation.

use super::read::Cursor;

/// A value, known to be well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    kind: Kind,
    /// What follows the type in the file.
    raw: Vec<u8>,
}

/// The types of values, by GGUF's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    Text = 8,
    List = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl Kind {
    fn of(id: u32) -> Result<Self, String> {
        use Kind::*;
        const ALL: [Kind; 13] = [U8, I8, U16, I16, U32, I32, F32, Bool, Text, List, U64, I64, F64];
        ALL.get(id as usize).copied().ok_or_else(|| format!("the type {id}, which GGUF does not have"))
    }

    /// Bytes of a value, where all have the same.
    const fn width(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::List => None,
        }
    }
}

impl Value {
    /// Reads a type and a value of it. Lists within lists are refused, as llama.cpp does.
    pub(super) fn read(cursor: &mut Cursor<impl std::io::Read>) -> Result<Self, String> {
        let kind = Kind::of(cursor.u32()?)?;
        let mut raw = Vec::new();
        match kind {
            Kind::List => {
                let items = Kind::of(cursor.u32()?)?;
                let count = cursor.u64()?;
                raw.extend((items as u32).to_le_bytes());
                raw.extend(count.to_le_bytes());
                match items.width() {
                    Some(width) => cursor
                        .append(count.checked_mul(width).ok_or("a list longer than any file")?, &mut raw)?,
                    None if items == Kind::List => return Err("a list of lists".into()),
                    // Each text takes eight bytes at least, so the file's end bounds the loop.
                    None => (0..count).try_for_each(|_| cursor.append_text(&mut raw))?,
                }
            }
            Kind::Text => cursor.append_text(&mut raw)?,
            kind => cursor.append(kind.width().unwrap_or_default(), &mut raw)?,
        }
        Ok(Self { kind, raw })
    }

    /// Appends type and value, as the file has them.
    pub(super) fn write(&self, head: &mut Vec<u8>) {
        head.extend((self.kind as u32).to_le_bytes());
        head.extend(&self.raw);
    }

    /// A whole number that is not negative.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        number(self.kind, &self.raw)
    }

    /// Any number.
    pub(crate) fn as_f64(&self) -> Option<f64> {
        match (self.kind, &*self.raw) {
            (Kind::F32, &[a, b, c, d]) => Some(f64::from(f32::from_le_bytes([a, b, c, d]))),
            (Kind::F64, raw) => Some(f64::from_le_bytes(raw.try_into().ok()?)),
            _ => self.as_u64().map(|number| number as f64),
        }
    }

    /// Yes or no.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        (self.kind == Kind::Bool).then(|| self.raw.first() == Some(&1))
    }

    /// A text; `None` also for one that is no UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        if self.kind != Kind::Text {
            return None;
        }
        std::str::from_utf8(self.raw.get(8..)?).ok()
    }

    /// How many values a list has.
    pub(crate) fn len(&self) -> Option<u64> {
        self.list().map(|(_, count, _)| count)
    }

    /// The whole numbers of a list, or the one number that stands for every place of it.
    pub(crate) fn as_u64s(&self) -> Option<Vec<u64>> {
        match self.list() {
            None => self.as_u64().map(|number| vec![number]),
            Some((kind, _, raw)) => {
                let width = usize::try_from(kind.width()?).ok()?;
                raw.chunks_exact(width).map(|raw| number(kind, raw)).collect()
            }
        }
    }

    /// The yes-and-no of a list.
    pub(crate) fn as_bools(&self) -> Option<Vec<bool>> {
        let (kind, _, raw) = self.list()?;
        (kind == Kind::Bool).then(|| raw.iter().map(|byte| *byte == 1).collect())
    }

    /// The texts of a list.
    #[cfg(test)]
    pub(crate) fn texts(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let (kind, _, mut raw) = self.list().filter(|(kind, ..)| *kind == Kind::Text)?;
        debug_assert_eq!(kind, Kind::Text);
        Some(std::iter::from_fn(move || {
            let (length, rest) = raw.split_first_chunk::<8>()?;
            let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            raw = rest;
            Some(text)
        }))
    }

    fn list(&self) -> Option<(Kind, u64, &[u8])> {
        if self.kind != Kind::List {
            return None;
        }
        let (kind, rest) = self.raw.split_first_chunk::<4>()?;
        let (count, raw) = rest.split_first_chunk::<8>()?;
        Some((Kind::of(u32::from_le_bytes(*kind)).ok()?, u64::from_le_bytes(*count), raw))
    }

    fn listed(kind: Kind, count: usize) -> Self {
        let raw = [&(kind as u32).to_le_bytes()[..], &(count as u64).to_le_bytes()].concat();
        Self { kind: Kind::List, raw }
    }
}

fn number(kind: Kind, raw: &[u8]) -> Option<u64> {
    let signed = match (kind, raw) {
        (Kind::U8, &[byte]) => return Some(byte.into()),
        (Kind::U16, &[a, b]) => return Some(u16::from_le_bytes([a, b]).into()),
        (Kind::U32, &[a, b, c, d]) => return Some(u32::from_le_bytes([a, b, c, d]).into()),
        (Kind::U64, raw) => return Some(u64::from_le_bytes(raw.try_into().ok()?)),
        (Kind::I8, &[byte]) => byte.cast_signed().into(),
        (Kind::I16, &[a, b]) => i16::from_le_bytes([a, b]).into(),
        (Kind::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]).into(),
        (Kind::I64, raw) => i64::from_le_bytes(raw.try_into().ok()?),
        _ => return None,
    };
    u64::try_from(signed).ok()
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self { kind: Kind::U32, raw: value.to_le_bytes().into() }
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self { kind: Kind::F32, raw: value.to_le_bytes().into() }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self { kind: Kind::Bool, raw: vec![value.into()] }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self { kind: Kind::Text, raw: [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat() }
    }
}

impl From<&[i32]> for Value {
    fn from(values: &[i32]) -> Self {
        let mut list = Self::listed(Kind::I32, values.len());
        list.raw.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        list
    }
}

impl From<&[String]> for Value {
    fn from(texts: &[String]) -> Self {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        texts[..].into()
    }
}

impl From<&[&str]> for Value {
    fn from(texts: &[&str]) -> Self {
        let mut list = Self::listed(Kind::Text, texts.len());
        for text in texts {
            list.raw.extend((text.len() as u64).to_le_bytes());
            list.raw.extend(text.as_bytes());
        }
        list
    }
}
