use std::process::ExitCode;

use clap::Args;
use streambp::error::{Error, Result};
use streambp::gpu::Gpu;
use streambp::train::device_report;

use crate::options::human_bytes;
use crate::output;
use crate::session::Session;

#[derive(Args)]
pub struct Arguments {
    /// Measure the adapter that would be used, check that it keeps the bits, and print a report to paste into an issue
    #[arg(long)]
    report: bool,
}

pub async fn run(arguments: &Arguments, session: Session<'_>) -> Result<ExitCode> {
    if arguments.report {
        return report(session).await;
    }
    let adapters = Gpu::adapters().await;
    if session.json {
        output::json(&adapters)?;
        return Ok(ExitCode::SUCCESS);
    }
    if adapters.is_empty() {
        return Err(Error::NoAdapter { wanted: None });
    }
    for adapter in adapters {
        output::line(format_args!("{}", adapter.name))?;
        output::line(format_args!("  backend        {} ({})", adapter.backend, adapter.device_type))?;
        output::line(format_args!("  driver         {}", adapter.driver))?;
        output::line(format_args!("  one binding    {}", human_bytes(adapter.max_storage_buffer_binding_size)))?;
        output::line(format_args!("  one buffer     {}", human_bytes(adapter.max_buffer_size)))?;
        let missing = if adapter.missing.is_empty() { "nothing".to_owned() } else { adapter.missing.join(", ") };
        output::line(format_args!("  lacks          {missing}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What an adapter is and does. The self-check is made anew.
async fn report(session: Session<'_>) -> Result<ExitCode> {
    let gpu = session.open().await?;
    let check = session.check_again(&gpu).await?;
    let ceilings = gpu.ceilings().await?;
    let place = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    let report = device_report(&gpu, &place, ceilings, &check).await?;
    if session.json {
        output::json(&report)?;
    } else {
        output::part(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}
