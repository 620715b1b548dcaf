//! `outcrop models derive`, and what `pull` and `serve` do after a model came: write it
//! again as it runs fastest on this machine.

use catalog::{Derived, LocalModel, Settings, Wish};

use crate::cli;
use crate::command::pull::{fail, watched};
use crate::config::Home;
use crate::exit::{Exit, Outcome};
use crate::terminal::size;

pub(super) fn run(home: &Home, arguments: &cli::Derive) -> Outcome {
    let (models, id) = (home.models(), &arguments.model);
    if arguments.remove {
        let removed = watched(|progress| catalog::underive(&models, id, progress)).map_err(fail)?;
        let said = if removed { "removed" } else { "there was none" };
        println!("what was derived from {id}: {said}; {id} itself is as it was");
        return Ok(());
    }
    let wish = match arguments.to {
        None => Wish::Fastest,
        Some(cli::DeriveTo::Q8_0) => Wish::Q8_0,
    };
    let settings = Settings::from_env();
    let derived =
        watched(|progress| catalog::derive(&models, id, wish, &settings, progress)).map_err(fail)?;
    if arguments.json {
        let model = match &derived {
            Derived::Made(model) | Derived::Here(model) => Some(model),
            Derived::Needless(_) => None,
        };
        println!("{}", serde_json::to_string_pretty(&model).map_err(Exit::failed)?);
        return Ok(());
    }
    match derived {
        Derived::Made(model) => tell(id, &model),
        Derived::Here(model) => println!("{} is here: {}", model.id, model.path.display()),
        Derived::Needless(why) => {
            println!("{id} stays as it is: {why}; `--to q8_0` writes it as Q8_0 all the same");
        }
    }
    Ok(())
}

/// Derives what runs faster here, if anything does. That it could not be made is told and
/// is no failure: the model itself is here.
pub(crate) fn after_pull(id: &str, home: &Home, settings: &Settings) -> Option<LocalModel> {
    match watched(|progress| catalog::derive(&home.models(), id, Wish::Fastest, settings, progress)) {
        Ok(Derived::Made(model) | Derived::Here(model)) => Some(model),
        Ok(Derived::Needless(_)) => None,
        Err(error) => {
            eprintln!("{id} is here and will be served; a faster variant of it could not be made: {error}");
            None
        }
    }
}

/// What was made, why, and how to undo it.
pub(crate) fn tell(id: &str, made: &LocalModel) {
    println!(
        "{} was made of it ({}) and will be served as {id}: this processor computes Q8_0 faster, and eight \
         bits keep the quality it was pulled with.\n`outcrop models derive {id} --remove` undoes it.",
        made.id,
        size(made.size_bytes)
    );
}
