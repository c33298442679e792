use std::process::ExitCode;

use streambp::error::{Error, Result};
use streambp::gpu::Gpu;

use crate::options::{human_bytes, print_json};

pub async fn run(json: bool) -> Result<ExitCode> {
    let adapters = Gpu::adapters().await;
    if json {
        print_json(&adapters);
        return Ok(ExitCode::SUCCESS);
    }
    if adapters.is_empty() {
        return Err(Error::NoAdapter { wanted: None });
    }
    for adapter in adapters {
        println!("{}", adapter.name);
        println!("  backend        {} ({})", adapter.backend, adapter.device_type);
        println!("  driver         {}", adapter.driver);
        println!("  one binding    {}", human_bytes(adapter.max_storage_buffer_binding_size));
        println!("  one buffer     {}", human_bytes(adapter.max_buffer_size));
        let missing = if adapter.missing.is_empty() { "nothing".to_owned() } else { adapter.missing.join(", ") };
        println!("  lacks          {missing}");
    }
    Ok(ExitCode::SUCCESS)
}
