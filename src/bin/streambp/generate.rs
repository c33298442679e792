use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use streambp::error::{Error, Result};
use streambp::gpu::Kernels;
use streambp::step::roll_out::RollOutShape;
use streambp::text::StopSequence;
use streambp::train::{Generator, Sampling};

use crate::options::{ModelOptions, Opened};
use crate::output;
use crate::session::Session;
use crate::text::{TextOptions, question};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Prompt to continue
    #[arg(long)]
    prompt: String,
    /// Answer the prompt with the model's chat template, instead of continuing it
    #[arg(long)]
    chat: bool,
    #[command(flatten)]
    text: TextOptions,
    /// Maximum number of tokens to generate
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    tokens: u32,
    /// Sampling temperature; 0 always takes the most likely token
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Sample only from that many most likely tokens; 0 for all
    #[arg(long, default_value_t = 40)]
    top_k: u32,
    /// Sample only from the fewest most likely tokens whose probabilities add up to that; 1 for all
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Seed of the sampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Tokens between two looks at what was sampled.
const TOKENS_AT_A_TIME: u32 = 4;

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    session.signals.listen("token")?;
    let Opened { spec, values } = arguments.model.open(arguments.seed).await?;
    let vocab_size = spec.config.vocab_size;
    let tokenizer = arguments.text.tokenizer(&arguments.model, vocab_size)?;
    if tokenizer.is_bytes() && vocab_size < 256 {
        return Err(Error::Setting(format!("the model knows {vocab_size} tokens, and a prompt of bytes needs 256")));
    }
    let (prompt, mut answer) = match arguments.chat {
        true => {
            let (question, end) = question(&arguments.prompt, &tokenizer, spec.config.model_type)?;
            (tokenizer.encode(&question)?, StopSequence::new(end))
        }
        false => (tokenizer.encode_with_special_tokens(&arguments.prompt)?, StopSequence::new(String::new())),
    };
    let Arguments { temperature, top_k, top_p, .. } = arguments;
    let sampling = Sampling { temperature, top_k, top_p };
    sampling.validate()?;
    if prompt.is_empty() {
        return Err(Error::Setting("the prompt is empty; give --prompt some text to continue".to_owned()));
    }
    let gpu = session.open().await?;
    let shape = RollOutShape { prompt: prompt.len() as u32, rows: 1, completion: arguments.tokens };
    let plan = Generator::plan(&spec, shape, gpu.limits())?;
    let gpu = session.tune(gpu, &spec).await?;
    let mut generator = Generator::new(Kernels::new(&gpu, plan)?).await?;
    generator.load(&values).await?;
    generator.start(&prompt, sampling, arguments.seed, 0..1)?;
    let mut decoder = tokenizer.decoder(&prompt);
    let mut text = if arguments.chat { String::new() } else { arguments.prompt };
    let mut sampled = Vec::new();
    let show = |part: &str| if session.json { Ok(()) } else { output::part(part) };
    show(&text)?;
    let is_stopped = || session.signals.received().is_some();
    'tokens: while !answer.is_over() && !is_stopped() {
        let more = generator.next(TOKENS_AT_A_TIME).await?.swap_remove(0);
        if more.is_empty() {
            break;
        }
        for token in more {
            sampled.push(token);
            if tokenizer.special_token_ids().eos.contains(&token.id) {
                break 'tokens;
            }
            let part = answer.push(&decoder.push(token.id));
            show(&part)?;
            text += &part;
            if answer.is_over() {
                break;
            }
        }
    }
    let rest = answer.push(&decoder.finish()) + &answer.finish();
    show(&rest)?;
    match session.json {
        true => output::json(&json!({ "text": text + &rest, "tokens": sampled }))?,
        false => output::line("")?,
    }
    session.signals.check()?;
    Ok(ExitCode::SUCCESS)
}
