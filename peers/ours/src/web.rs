//! What the benchmark's page calls.

use wasm_bindgen::prelude::*;

use crate::Trainer;

/// A run in a browser.
#[wasm_bindgen]
pub struct Ours {
    trainer: Trainer,
}

#[wasm_bindgen]
impl Ours {
    /// Opens a run on a sequence of so many tokens.
    pub async fn open(length: u32, variant: String) -> Result<Ours, JsError> {
        console_error_panic_hook::set_once();
        Ok(Ours { trainer: Trainer::open(length, &variant).await? })
    }

    /// One step; its loss.
    pub async fn step(&mut self) -> Result<f64, JsError> {
        Ok(self.trainer.step().await?)
    }

    /// The strategy's name.
    pub fn strategy(&self) -> String {
        self.trainer.strategy().kind.to_string()
    }
}
