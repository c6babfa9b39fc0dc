//! Protocol buffers' wire format, as far as reading it needs no schema.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// Groups within groups that are passed over, as other readers do.
const MAX_GROUPS: usize = 100;

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    /// A group, passed over.
    Group,
}

/// Why a message can't be read.
pub(super) const MALFORMED: &str = "its bytes are no protocol buffer";

/// Reads a message's fields in their order.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Read a field's number and the type of its value.
    fn tag(&mut self) -> Option<(u32, u8)> {
        let tag = u32::try_from(varint(&mut self.rest)?).ok()?;
        let number = tag >> 3;
        (number != 0).then_some((number, (tag & 7) as u8))
    }

    fn value(&mut self, wire: u8) -> Option<Value<'a>> {
        Some(match wire {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(self.take()?),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(self.take()?),
            _ => return None,
        })
    }

    /// Pass over a group that has begun, to its own end.
    fn group(&mut self, number: u32) -> Option<()> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            match self.tag()? {
                (number, 4) if number == *innermost => {
                    open.pop();
                }
                (number, 3) if open.len() < MAX_GROUPS => open.push(number),
                (_, wire) => {
                    self.value(wire)?;
                }
            }
        }
        Some(())
    }

    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let (number, wire) = self.tag()?;
        if wire == 3 {
            self.group(number)?;
            return Some((number, Value::Group));
        }
        Some((number, self.value(wire)?))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(MALFORMED))
    }
}

/// Read a number of 7 bits a byte; bits beyond the 64th are dropped.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Vec<Result<(u32, Value<'_>), &'static str>> {
        Fields::new(message).collect()
    }

    #[test]
    fn groups_are_passed_over_to_their_own_end() {
        let message = [0x0b, 0x13, 0x08, 1, 0x14, 0x0c, 0x10, 7];
        assert_eq!(all(&message), [Ok((1, Value::Group)), Ok((2, Value::Varint(7)))]);
        assert_eq!(all(&[0x0b, 0x14]), [Err(MALFORMED)]);
        assert_eq!(all(&[0x0b; 10_000]), [Err(MALFORMED)]);
    }

    #[test]
    fn a_length_beyond_the_message_and_a_number_without_an_end_are_malformed() {
        for message in [&[0x0a, 5, 1][..], &[0x08, 0xff], &[0x08; 1], &[0xff; 11], &[0x00, 0], &[0x0e]] {
            assert_eq!(all(message).last(), Some(&Err(MALFORMED)), "{message:?}");
        }
        assert_eq!(
            varint(&mut &[0xff; 9].iter().copied().chain([1]).collect::<Vec<_>>()[..]),
            Some(u64::MAX)
        );
    }
}
