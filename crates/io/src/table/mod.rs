//! CSV tables: columns of numbers and of categories become a [`Dataset`](backstitch_core::Dataset).
//!
//! A [`Table`] is the text of a file. [`Columns`] says what each column is. [`Columns::fit`] learns categories, fill values and
//! classes from the *training* rows. The result is an [`Encoding`]. It encodes all other rows in the same way. Save it beside the
//! model, so that rows are encoded in the same way when you predict.
//!
//! ```
//! use backstitch::{Model, Net, data::{standardize, unstandardize}, layers::dense};
//! use backstitch::table::{Columns, Fill, Table};
//! use backstitch::safetensors;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("flats.csv");
//! # std::fs::write(&path, format!("area,floor,town,price\n{}", "50,1,Graz,100\n80,,Linz,150\n65,3,Graz,120\n".repeat(4)))?;
//! # let (encoding_file, weights_file) = (folder.path().join("flats.encoding.json"), folder.path().join("flats.safetensors"));
//! let table = Table::read(&path)?;
//! let [train, test] = table.split([0.75, 0.25], 0)?;
//! let encoding = Columns::new().one_hot("town").fill("floor", Fill::Mean).target("price").fit(&train)?;
//! assert_eq!(encoding.features(), ["area", "floor", "town=Graz", "town=Linz"]);
//! let (train, test) = (encoding.encode(&train)?, encoding.encode(&test)?);
//! let net = |first, last| Net::new().push(first).push(dense(8).relu()).push(dense(1)).push(last);
//! let model: Model = Model::new(net(standardize(&train)?, unstandardize(&train)?), &train.input_shape(), 0)?;
//! // Train it by `Trainer::fit`, judge it by `evaluate(&model, &test)`, then save both.
//! encoding.save(&encoding_file)?;
//! safetensors::save(&weights_file, &model)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Another program builds the same network. It needs no training data for the standardization, because means and standard
//! deviations are in the file of weights. Write [`Standardize::unfitted`](backstitch_core::layers::Standardize::unfitted) in place of
//! `standardize(&train)`, and `Standardize::unfitted().inverse()` in place of `unstandardize(&train)`. Loading sets their constants.
//!
//! ```
//! # use backstitch::{Model, Net, data::{standardize, unstandardize}, layers::{Standardize, dense}};
//! # use backstitch::{safetensors, table::{Columns, Encoding, Table}};
//! # let folder = tempfile::tempdir()?;
//! # let (encoding_file, weights_file) = (folder.path().join("flats.encoding.json"), folder.path().join("flats.safetensors"));
//! # let table = Table::parse("area,town,price\n50,Graz,100\n80,Linz,150\n".as_bytes(), "flats")?;
//! # let encoding = Columns::new().one_hot("town").target("price").fit(&table)?;
//! # let train = encoding.encode(&table)?;
//! # let net = Net::new().push(standardize(&train)?).push(dense(8).relu()).push(dense(1)).push(unstandardize(&train)?);
//! # let trained: Model = Model::new(net, &train.input_shape(), 0)?;
//! # encoding.save(&encoding_file)?;
//! # safetensors::save(&weights_file, &trained)?;
//! let encoding = Encoding::load(&encoding_file)?;
//! let net = Net::new().push(Standardize::unfitted()).push(dense(8).relu()).push(dense(1)).push(Standardize::unfitted().inverse());
//! let mut model: Model = Model::new(net, &[encoding.features().len()], 0)?;
//! safetensors::load(&weights_file, &mut model)?;
//! // Rows without a price.
//! let rows = Table::parse("area,town\n70,Linz\n".as_bytes(), "to predict")?;
//! let prices = model.predict(encoding.inputs(&rows)?)?;
//! assert_eq!(prices.shape(), [1, 1]);
//! # assert_eq!(prices, trained.predict(encoding.inputs(&rows)?)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod encoding;
mod rows;
mod saved;
#[cfg(test)]
mod tests;

pub use columns::{Columns, Fill};
pub use encoding::{Encoding, MAX_CATEGORIES};
pub use rows::Table;
