//! What the columns of a store become in a batch, decided once and not for each batch.

use std::collections::HashMap;

use nexa_records::ColumnSpec;

use crate::convert::{Conversion, Convert, Target};
use crate::ragged::{Padding, RaggedPlan};
use crate::{BatchError, Store};

/// What is asked of one column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    /// Another type of numbers.
    pub conversion: Option<Conversion>,
    /// One width for rows of different lengths.
    pub padding: Option<Padding>,
}

/// What becomes of one column of equal rows.
#[derive(Clone, Debug)]
pub struct FixedPlan {
    /// The column's name.
    pub name: String,
    /// Type of a number in the batch.
    pub target: Target,
    /// Shape of a row.
    pub row_shape: Vec<usize>,
    /// Bytes of a row in the batch.
    pub row_bytes: usize,
    /// Bytes of a row in the shard.
    pub(crate) stored_bytes: usize,
    pub(crate) convert: Option<Convert>,
}

impl FixedPlan {
    fn new(spec: &ColumnSpec, form: &Form) -> Result<Self, BatchError> {
        if form.padding.is_some() {
            return Err(BatchError::Form {
                column: spec.name.clone(),
                detail: "its rows are of one width: there is nothing to pad".to_owned(),
            });
        }
        let target = form.conversion.map_or(Target::Stored(spec.element), |wanted| wanted.target);
        let convert = match &form.conversion {
            Some(wanted) => Convert::new(&spec.name, spec.element, wanted)?,
            None => None,
        };
        let row_bytes = (spec.row_bytes / spec.element.bytes())
            .checked_mul(target.bytes())
            .ok_or(BatchError::TooLarge { what: "a row" })?;
        Ok(Self { target, row_bytes, convert, ..Self::stored(spec) })
    }

    /// The plan of a column that stays as it is stored.
    pub(crate) fn stored(spec: &ColumnSpec) -> Self {
        Self {
            name: spec.name.clone(),
            target: Target::Stored(spec.element),
            row_shape: spec.row_shape.clone(),
            row_bytes: spec.row_bytes,
            stored_bytes: spec.row_bytes,
            convert: None,
        }
    }
}

/// The plans of all columns of a store.
#[derive(Debug)]
pub struct Forms {
    /// Columns of equal rows, in the store's order.
    pub fixed: Vec<FixedPlan>,
    /// Columns of lists, text and bytes, in the store's order.
    pub ragged: Vec<RaggedPlan>,
}

impl Forms {
    /// Leave every column as it is stored.
    #[must_use]
    pub fn stored(store: &Store) -> Self {
        Self {
            fixed: store.columns().iter().map(FixedPlan::stored).collect(),
            ragged: store.ragged().iter().map(RaggedPlan::stored).collect(),
        }
    }

    /// Decide what becomes of each column; columns that `wanted` doesn't name stay as they are stored.
    ///
    /// # Errors
    /// A type that the stored one can't become, or a form that the column's kind doesn't have.
    pub fn new(store: &Store, wanted: &HashMap<String, Form>) -> Result<Self, BatchError> {
        let nothing = Form::default();
        let form = |name: &str| wanted.get(name).unwrap_or(&nothing);
        let fixed = store.columns().iter().map(|spec| FixedPlan::new(spec, form(&spec.name)));
        let ragged = store.ragged().iter().map(|spec| {
            let form = form(&spec.name);
            RaggedPlan::new(spec, form.conversion.as_ref(), form.padding.as_ref())
        });
        Ok(Self { fixed: fixed.collect::<Result<_, _>>()?, ragged: ragged.collect::<Result<_, _>>()? })
    }
}
