//! CSV tables: columns of numbers and of categories become a [`Dataset`](backstitch_core::Dataset).
//!
//! A [`Table`] is the text of a file. [`Columns`] says what each column is. What must be learned from data (categories, fill values,
//! classes) is learned from the *training* rows, by [`Columns::fit`], and is an [`Encoding`]: it encodes all other rows in the same
//! way, and is saved beside the model, so that what is predicted later is encoded as what was trained.
//!
//! ```
//! use backstitch_core::{Model, Net, data::standardize, layers::dense};
//! use backstitch_io::table::{Columns, Encoding, Fill, Table};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("flats.csv");
//! # std::fs::write(&path, format!("area,floor,town,price\n{}", "50,1,Graz,100\n80,,Linz,150\n65,3,Graz,120\n".repeat(4)))?;
//! let table = Table::read(&path)?;
//! let [train, test] = table.split([0.75, 0.25], 0)?;
//! let encoding = Columns::new().one_hot("town").fill("floor", Fill::Mean).target("price").fit(&train)?;
//! assert_eq!(encoding.features(), ["area", "floor", "town=Graz", "town=Linz"]);
//! let (train, test) = (encoding.encode(&train)?, encoding.encode(&test)?);
//! let net = Net::new().push(standardize(&train)?).push(dense(8).relu()).push(dense(1));
//! let model = Model::new(net, &train.input_shape(), 0)?;
//! // Later, elsewhere: rows without a price.
//! let path = folder.path().join("flats.encoding.json");
//! encoding.save(&path)?;
//! let rows = Table::parse("area,floor,town\n70,2,Linz\n".as_bytes(), "to predict")?;
//! let prices = model.predict(&Encoding::load(&path)?.inputs(&rows)?.into_dyn().view())?;
//! assert_eq!(prices.shape(), [1, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod encoding;
mod rows;
mod saved;
#[cfg(test)]
mod tests;

pub use columns::{Columns, Fill};
pub use encoding::{Encoding, MOST_CATEGORIES};
pub use rows::Table;
