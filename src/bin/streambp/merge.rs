use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use streambp::error::{Error, Result};
use streambp::model::{Dtype, load_config, merge, open_adapter, open_model};

use crate::options::note_other_base;
use crate::out_directory::{Existing, OutDirectory, refuse_to_replace};
use crate::output;
use crate::session::Session;
use crate::text::tokenizer_of_adapters;

#[derive(Args)]
pub struct Arguments {
    /// Directory of the base model of the adapters
    #[arg(long)]
    model: String,
    /// Directory of the adapters, in the layout of PEFT
    #[arg(long, value_name = "DIR")]
    lora: PathBuf,
    /// Directory for the merged model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the run or the model in --out
    #[arg(long)]
    overwrite: bool,
    /// Dtype of the merged model: f32, f16 or bf16 [default: that of each matrix in the base model]
    #[arg(long, value_parser = parse_dtype)]
    dtype: Option<Dtype>,
}

pub async fn run(arguments: &Arguments, session: Session<'_>) -> Result<ExitCode> {
    if !Path::new(&arguments.model).is_dir() {
        load_config(&arguments.model)?;
        return Err(Error::Setting(format!("{} is no model directory; give the one that the adapters were trained on", arguments.model)));
    }
    let model = open_model(&arguments.model, 0).await?;
    let stored = model.stored().expect("a directory is a stored model");
    let adapter = open_adapter(&arguments.lora, &model.config).await?;
    note_other_base(&arguments.model, &adapter);
    refuse_to_replace("--out", &arguments.out, [Path::new(&arguments.model), &arguments.lora])?;
    let existing = if arguments.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let out = OutDirectory::open(&arguments.out, existing)?;
    let tokenizer = tokenizer_of_adapters(&arguments.lora, Path::new(&arguments.model), &model.config)?;
    merge(stored, &adapter, arguments.dtype, tokenizer, out.path())?;
    let out = out.path().display().to_string();
    if session.json {
        output::json(&json!({ "out": out }))?;
    } else {
        output::line(format_args!("the merged model is in {out}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn parse_dtype(name: &str) -> Result<Dtype, String> {
    Dtype::named(name).filter(|dtype| *dtype != Dtype::Int8).ok_or_else(|| "there are f32, f16 and bf16".to_owned())
}
