use std::process::ExitCode;

use streambp::error::{Error, Result};
use streambp::gpu::Gpu;

use crate::options::human_bytes;
use crate::output;
use crate::session::Session;

pub async fn run(session: Session<'_>) -> Result<ExitCode> {
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
