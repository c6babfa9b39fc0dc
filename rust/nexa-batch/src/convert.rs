//! Conversion on the way into a batch, so that no second pass over the numbers is needed.
//!
//! ```text
//! result = value × scale + shift        integer or float → float
//! result = value                        integer → wider integer
//! ```
//!
//! 1. Only what loses nothing but a float's last digits is allowed: an integer never becomes one that may not hold it.
//! 2. The line is computed in float32; in float64 where the stored type has 32 bits and is no float32, has 64 bits, or
//!    where the result is float64. Each result is rounded once, to nearest even.
//! 3. A loop knows both types, reads a row where it is mapped, and writes where the batch is: that is what the compiler
//!    can vectorise. A shift of zero is added as −0, the number that leaves every other as it is.

use std::fmt;
use std::str::FromStr;

use nexa_records::{Element, UnknownElement};

use crate::BatchError;
use crate::convert_loops::{Line, Run, to_brain, to_double, to_half, to_single, widen};

/// Type of a number in a batch: one that shards hold, or bfloat16, which Arrow doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A type that shards hold too.
    Stored(Element),
    /// The upper half of a float32.
    Bf16,
}

impl Target {
    /// Give the bytes of a number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Stored(element) => element.bytes(),
            Self::Bf16 => 2,
        }
    }

    /// Give the name by which torch knows the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored(element) => element.name(),
            Self::Bf16 => "bfloat16",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = UnknownElement;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "bfloat16" { Ok(Self::Bf16) } else { name.parse().map(Self::Stored) }
    }
}

/// What a column's numbers become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// Their type in the batch.
    pub target: Target,
    /// Factor.
    pub scale: f64,
    /// What is added after it.
    pub shift: f64,
}

/// A conversion between two types that fit.
#[derive(Clone, Copy)]
pub(crate) struct Convert {
    run: Run,
    line: Line,
}

impl Convert {
    /// Choose the loop for a column, or `None` where its numbers stay as they are.
    pub(crate) fn new(column: &str, from: Element, wanted: &Conversion) -> Result<Option<Self>, BatchError> {
        let Conversion { target, scale, shift } = *wanted;
        let refuse = |detail: &str| BatchError::Conversion {
            column: column.to_owned(),
            from: from.name(),
            to: target.name(),
            detail: detail.to_owned(),
        };
        let plain = scale == 1.0 && shift == 0.0;
        if !(scale.is_finite() && shift.is_finite()) {
            return Err(refuse("scale and shift are finite numbers"));
        }
        if plain && target == Target::Stored(from) {
            return Ok(None);
        }
        let run = match target {
            Target::Stored(Element::F16) => to_half(from),
            Target::Stored(Element::F32) => to_single(from),
            Target::Stored(Element::F64) => to_double(from),
            Target::Bf16 => to_brain(from),
            Target::Stored(_) if !plain => return Err(refuse("scale and shift want a float as result")),
            Target::Stored(to) => widen(from, to)
                .ok_or_else(|| refuse("integers become floats, or integers that hold all of them"))?,
        };
        let shift = if shift == 0.0 { -0.0 } else { shift };
        Ok(Some(Self { run, line: Line { scale, shift } }))
    }

    /// Convert the numbers of `source` into `target`, which has room for as many.
    #[inline]
    pub(crate) fn run(&self, source: &[u8], target: &mut [u8]) {
        (self.run)(source, target, self.line);
    }
}

impl fmt::Debug for Convert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Convert").field("scale", &self.line.scale).field("shift", &self.line.shift).finish()
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
