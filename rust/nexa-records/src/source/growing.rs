//! Columns while text is being read into them, value by value, with a way back to the last whole record.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, GenericListArray, GenericStringArray, NullArray,
    OffsetSizeTrait, PrimitiveArray, StructArray,
};
use arrow_buffer::{BooleanBufferBuilder, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, FieldRef, Fields};

/// Values for which memory is taken ahead, at most: one huge batch says nothing about the next.
const MAX_AHEAD: usize = 4 << 20;

/// What every growing column can do.
pub(super) trait Grow: Send {
    /// Return the number of rows.
    fn rows(&self) -> usize;

    /// Append a missing value.
    fn null(&mut self);

    /// Take back all rows but the first `rows`.
    fn truncate(&mut self, rows: usize);

    /// Give its rows as an array, and begin anew with as much memory as it needed for them.
    fn finish(&mut self) -> Result<ArrayRef, ArrowError>;
}

/// Take a vector's content and leave one of about its capacity.
fn replace<T>(vec: &mut Vec<T>) -> Vec<T> {
    let ahead = (vec.len() + vec.len() / 16).min(MAX_AHEAD / size_of::<T>().max(1));
    std::mem::replace(vec, Vec::with_capacity(ahead))
}

/// Which rows are not missing; costs nothing until one is.
pub(super) struct Validity(NullBufferBuilder);

impl Validity {
    pub(super) fn new() -> Self {
        Self(NullBufferBuilder::new(0))
    }

    #[inline]
    pub(super) fn push(&mut self, valid: bool) {
        if valid {
            self.0.append_non_null();
        } else {
            self.0.append_null();
        }
    }
}

/// Numbers.
pub(super) struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: Validity,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), valid: Validity::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, value: T::Native) {
        self.values.push(value);
        self.valid.push(true);
    }
}

impl<T: ArrowPrimitiveType> Grow for Numbers<T> {
    fn rows(&self) -> usize {
        self.values.len()
    }

    fn null(&mut self) {
        self.values.push(T::Native::default());
        self.valid.push(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.valid.0.truncate(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let values = ScalarBuffer::from(replace(&mut self.values));
        Ok(Arc::new(PrimitiveArray::<T>::try_new(values, self.valid.0.finish())?))
    }
}

/// Truth values.
pub(super) struct Bools {
    values: BooleanBufferBuilder,
    valid: Validity,
}

impl Bools {
    pub(super) fn new() -> Self {
        Self { values: BooleanBufferBuilder::new(0), valid: Validity::new() }
    }

    pub(super) fn push(&mut self, value: bool) {
        self.values.append(value);
        self.valid.push(true);
    }
}

impl Grow for Bools {
    fn rows(&self) -> usize {
        self.values.len()
    }

    fn null(&mut self) {
        self.values.append(false);
        self.valid.push(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.valid.0.truncate(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(BooleanArray::new(self.values.finish(), self.valid.0.finish())))
    }
}

/// Nothing but missing values.
pub(super) struct Nothing(pub(super) usize);

impl Grow for Nothing {
    fn rows(&self) -> usize {
        self.0
    }

    fn null(&mut self) {
        self.0 += 1;
    }

    fn truncate(&mut self, rows: usize) {
        self.0 = self.0.min(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(NullArray::new(std::mem::take(&mut self.0))))
    }
}

/// Texts, end to end.
pub(super) struct Texts<O: OffsetSizeTrait> {
    /// The text so far; who appends to it ends a row by [`end`](Self::end).
    pub(super) bytes: Vec<u8>,
    offsets: Vec<O>,
    valid: Validity,
}

impl<O: OffsetSizeTrait> Texts<O> {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), offsets: vec![O::zero()], valid: Validity::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end(true);
    }

    #[inline]
    pub(super) fn end(&mut self, valid: bool) {
        self.offsets.push(O::usize_as(self.bytes.len()));
        self.valid.push(valid);
    }
}

impl<O: OffsetSizeTrait> Grow for Texts<O> {
    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn null(&mut self) {
        self.end(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        // A text that was begun and not ended goes too.
        self.bytes.truncate(self.offsets.last().map_or(0, |end| end.as_usize()));
        self.valid.0.truncate(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = replace(&mut self.offsets);
        self.offsets.push(O::zero());
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let bytes = replace(&mut self.bytes).into();
        Ok(Arc::new(GenericStringArray::<O>::try_new(offsets, bytes, self.valid.0.finish())?))
    }
}

/// Lists, over a column of their elements.
pub(super) struct Lists<O: OffsetSizeTrait, C: ?Sized> {
    /// The elements so far; who appends to it ends a row by [`end`](Self::end).
    pub(super) elements: Box<C>,
    field: FieldRef,
    offsets: Vec<O>,
    valid: Validity,
}

impl<O: OffsetSizeTrait, C: Grow + ?Sized> Lists<O, C> {
    pub(super) fn new(field: FieldRef, elements: Box<C>) -> Self {
        Self { elements, field, offsets: vec![O::zero()], valid: Validity::new() }
    }

    pub(super) fn end(&mut self, valid: bool) {
        self.offsets.push(O::usize_as(self.elements.rows()));
        self.valid.push(valid);
    }
}

impl<O: OffsetSizeTrait, C: Grow + ?Sized> Grow for Lists<O, C> {
    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn null(&mut self) {
        self.end(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.elements.truncate(self.offsets.last().map_or(0, |end| end.as_usize()));
        self.valid.0.truncate(rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = replace(&mut self.offsets);
        self.offsets.push(O::zero());
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let (elements, valid) = (self.elements.finish()?, self.valid.0.finish());
        Ok(Arc::new(GenericListArray::<O>::try_new(Arc::clone(&self.field), offsets, elements, valid)?))
    }
}

/// Lists of one length, over a column of their elements.
pub(super) struct FixedLists<C: ?Sized> {
    /// The elements so far; who appends to it ends a row by [`end`](Self::end).
    pub(super) elements: Box<C>,
    /// Elements of each list.
    pub(super) size: usize,
    field: FieldRef,
    rows: usize,
    valid: Validity,
}

impl<C: Grow + ?Sized> FixedLists<C> {
    pub(super) fn new(field: FieldRef, size: usize, elements: Box<C>) -> Self {
        Self { elements, size, field, rows: 0, valid: Validity::new() }
    }

    pub(super) fn end(&mut self) {
        self.rows += 1;
        self.valid.push(true);
    }
}

impl<C: Grow + ?Sized> Grow for FixedLists<C> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn null(&mut self) {
        for _ in 0..self.size {
            self.elements.null();
        }
        self.rows += 1;
        self.valid.push(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.elements.truncate(self.rows * self.size);
        self.valid.0.truncate(self.rows);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let (elements, valid) = (self.elements.finish()?, self.valid.0.finish());
        let (rows, size) = (std::mem::take(&mut self.rows), i32::try_from(self.size).unwrap_or(i32::MAX));
        let field = Arc::clone(&self.field);
        Ok(Arc::new(FixedSizeListArray::try_new_with_length(field, size, elements, valid, rows)?))
    }
}

/// Finish the columns of a struct, or of a batch.
pub(super) fn finish_all<C: Grow + ?Sized>(columns: &mut [Box<C>]) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.iter_mut().map(|column| column.finish()).collect()
}

/// Make a struct of its columns.
pub(super) fn finish_struct(
    fields: &Fields,
    columns: Vec<ArrayRef>,
    rows: usize,
    valid: &mut Validity,
) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, valid.0.finish(), rows)?))
}

impl Validity {
    /// Take back all but the first `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }
}
