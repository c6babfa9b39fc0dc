//! What a store's columns look like, which every shard must agree about.

use std::path::Path;

use arrow_schema::Schema;
use nexa_records::{ColumnSpec, RaggedSpec, column_index, column_spec, ragged_spec};

use crate::BatchError;

/// Columns of equal rows, and of lists, text and bytes, each in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    pub fixed: Vec<ColumnSpec>,
    pub ragged: Vec<RaggedSpec>,
}

impl Specs {
    /// Read them from a shard's schema.
    pub(crate) fn of(schema: &Schema, columns: &[String], path: &Path) -> Result<Self, BatchError> {
        let mut specs = Self::default();
        for name in columns {
            let field = schema.field(column_index(schema, name, path)?);
            match ragged_spec(field, path)? {
                Some(spec) => specs.ragged.push(spec),
                None => specs.fixed.push(column_spec(field, path)?),
            }
        }
        Ok(specs)
    }

    /// Names of all columns: first those of equal rows.
    pub(crate) fn names(&self) -> Vec<String> {
        let fixed = self.fixed.iter().map(|spec| spec.name.clone());
        fixed.chain(self.ragged.iter().map(|spec| spec.name.clone())).collect()
    }

    /// Check that another shard's columns look the same.
    pub(crate) fn check(&self, found: &Self, path: &Path) -> Result<(), BatchError> {
        for (expected, found) in self.described().into_iter().zip(found.described()) {
            if found != expected {
                return Err(BatchError::Disagreement {
                    path: path.to_path_buf(),
                    column: expected.0,
                    expected: expected.1,
                    found: found.1,
                });
            }
        }
        Ok(())
    }

    /// Name and description of each column, in the order of the names.
    fn described(&self) -> Vec<(String, String)> {
        let fixed = self
            .fixed
            .iter()
            .map(|spec| (spec.name.clone(), format!("{}{:?}", spec.element.name(), spec.row_shape)));
        let ragged = self.ragged.iter().map(|spec| {
            let items = format!("{} of {}{:?}", spec.kind.name(), spec.element.name(), spec.item_shape);
            (spec.name.clone(), items)
        });
        let mut all: Vec<_> = fixed.chain(ragged).collect();
        all.sort_unstable();
        all
    }
}
