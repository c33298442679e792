use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use streambp::error::{Error, Result};
use streambp::gpu::Gpu;
use streambp::train::{Generator, Sampler};

use crate::options::{ModelOptions, Opened, print_json};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// What to continue, as bytes
    #[arg(long)]
    prompt: String,
    /// Tokens to generate
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    tokens: u32,
    /// 0 takes the likeliest token each time
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Only so many of the likeliest tokens; 0 for all
    #[arg(long, default_value_t = 40)]
    top_k: usize,
    /// What choices are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub async fn run(arguments: Arguments, adapter: Option<&str>, json: bool) -> Result<ExitCode> {
    let Opened { layout, values } = arguments.model.open(arguments.seed).await?;
    let vocab_size = layout.config.vocab_size;
    if vocab_size < 256 {
        return Err(Error::Setting(format!("the model knows {vocab_size} tokens, and a prompt of bytes needs 256")));
    }
    let prompt: Vec<u32> = arguments.prompt.bytes().map(u32::from).collect();
    let gpu = Gpu::open(adapter).await?;
    let mut generator = Generator::new(&gpu, &layout, prompt.len() as u32 + arguments.tokens).await?;
    generator.load(&values).await?;
    generator.start(&prompt)?;
    let mut sampler = Sampler::new(arguments.temperature, arguments.top_k, arguments.seed);
    let mut bytes = arguments.prompt.clone().into_bytes();
    let mut sampled = Vec::new();
    if !json {
        print!("{}", arguments.prompt);
    }
    for _ in 0..arguments.tokens {
        let token = generator.next(&mut sampler).await?;
        let byte = [u8::try_from(token.id).unwrap_or(b'?')];
        bytes.extend(byte);
        sampled.push(token);
        if !json {
            let mut out = std::io::stdout();
            out.write_all(&byte).and_then(|()| out.flush()).map_err(|e| Error::io("standard output", e))?;
        }
    }
    if json {
        print_json(&json!({ "text": String::from_utf8_lossy(&bytes), "tokens": sampled }));
    } else {
        println!();
    }
    Ok(ExitCode::SUCCESS)
}
