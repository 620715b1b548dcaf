//! `outcrop models convert`: published weights become a model file.

use std::path::Path;

use catalog::{Precision, Request, Settings};

use crate::cli::{self, ConvertTo};
use crate::command::pull::{fail, fetch};
use crate::config::Home;
use crate::exit::{Exit, Outcome};
use crate::terminal::size;

pub(super) fn run(home: &Home, arguments: &cli::Convert) -> Outcome {
    let precision = match arguments.to {
        None => Precision::AsPublished,
        Some(ConvertTo::F32) => Precision::F32,
        Some(ConvertTo::F16) => Precision::F16,
        Some(ConvertTo::Bf16) => Precision::Bf16,
        Some(ConvertTo::Q8_0) => Precision::Q8_0,
    };
    let folder = Path::new(&arguments.folder);
    let request = Request::folder(folder, arguments.id.as_deref(), precision).map_err(fail)?;
    let model = fetch(&request, home, &Settings::from_env())?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&model).map_err(Exit::failed)?);
        return Ok(());
    }
    println!("{} is here: {} ({})", model.id, model.path.display(), size(model.size_bytes));
    println!("`outcrop serve --model {}` serves it.", model.id);
    Ok(())
}
