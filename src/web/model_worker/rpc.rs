//! What the trainer is given: rows of parameters, and zips of what it learned for the visitor.

use std::borrow::Cow;
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, MessageEvent, MessagePort};

use super::opened::{Model, ModelWorker, send};
use super::text::{Text, pieces};
use crate::error::{Error, Result};
use crate::model::archive::{Kind, to_zip, zip};
use crate::model::{ModelSpec, Parameter, Parameters, TensorNames, WeightSource, Weights};
use crate::web::blob;
use crate::web::codec;
use crate::web::model_protocol::{Envelope, FromModelWorker, Request};

/// Answers whoever is at the other end of that line.
pub fn serve(worker: &Rc<ModelWorker>, port: MessagePort) {
    let (worker, answers) = (worker.clone(), port.clone());
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let (Envelope { number, request }, bytes) = codec::unpack(&event.data());
        let file = codec::files(&event.data()).pop();
        let (worker, answers) = (worker.clone(), answers.clone());
        spawn_local(async move {
            let (outcome, bytes) = match worker.respond(request, &bytes, file).await {
                Ok(bytes) => (Ok(()), bytes),
                Err(error) => (Err(error.to_string()), Vec::new()),
            };
            let answer: (u32, Result<(), String>) = (number, outcome);
            let (pair, handed_over) = codec::pack(&answer, &bytes);
            answers.post_message_with_transferable(&pair, &handed_over).expect("messages can be posted");
        });
    });
    port.set_onmessage(Some(receive.into_js_value().unchecked_ref()));
}

impl ModelWorker {
    async fn respond(&self, request: Request, bytes: &[u8], file: Option<Blob>) -> Result<Vec<u8>> {
        match request {
            Request::Rows { model, of, name, rows: [first, end] } => {
                let open = self.open_model(model)?;
                match of {
                    Kind::Model => rows(&open.stored, &open.parameters, &name, first..end).await,
                    Kind::Adapters => {
                        let adapters = self.adapters.borrow().clone();
                        let what =
                            || Error::Data("the adapters that the run starts from are not open any more; open them again".to_owned());
                        let adapters = adapters.ok_or_else(what)?;
                        rows(&adapters.stored, &adapters.parameters, &name, first..end).await
                    }
                    Kind::Run => unreachable!("a run is not open here"),
                }
            }
            Request::Read { name, vocabulary, model, config, written, has_pairs } => {
                let model = model.map(|model| self.open_model(model)).transpose()?;
                let text = blob::read_whole(&name, &file.expect("a text is sent")).await?;
                let not_text = |_| Error::Data(format!("{name} is not UTF-8 text; save it as UTF-8, or choose another file"));
                let text = String::from_utf8(text).map_err(not_text)?;
                let text = Text { name: &name, text: &text, vocabulary, config: &config, written, has_pairs };
                Ok(packed(&self.encode(&text, model.as_deref()).await?))
            }
            Request::Encode(text) => Ok(packed(&self.tokenizer()?.encode(&text)?)),
            Request::Decode(ids) => Ok(packed(&pieces(&*self.tokenizer()?, &ids))),
            Request::Pack(step, spec, base) => {
                let parameters = Parameters::new(&*spec);
                let trained = || parameters.trainable().map(|(_, parameter)| parameter);
                let weights = Weights::of(trained(), values(bytes, trained()));
                let tokenizer = self.tokenizer_parts();
                send(&FromModelWorker::Packed(step), &to_zip(&spec, &base, &self.names(&spec), &weights, tokenizer));
                Ok(Vec::new())
            }
            Request::PackRun { step, files, text } => {
                let mut rest = bytes;
                let mut packed: Vec<(String, Cow<'_, [u8]>)> = Vec::new();
                for (name, size) in files {
                    let (own, others) = rest.split_at(size as usize);
                    packed.push((name, own.into()));
                    rest = others;
                }
                if let Some((name, file)) = text.zip(file) {
                    let text = blob::read_whole(&name, &file).await?;
                    packed.push((name, text.into()));
                }
                send(&FromModelWorker::PackedRun(step), &zip(&packed));
                Ok(Vec::new())
            }
        }
    }

    /// The names of what was learned: those of the files that it started from.
    fn names(&self, spec: &ModelSpec) -> TensorNames {
        let Some(model) = self.model.borrow().clone().filter(|open| open.stored.config() == &spec.config) else {
            return TensorNames::default();
        };
        match (spec.adapters(), &*self.adapters.borrow()) {
            (None, _) => model.stored.names(),
            (Some(lora), Some(adapters)) if adapters.stored.lora() == lora => adapters.stored.names().clone(),
            (Some(_), _) => model.stored.adapter_names(),
        }
    }

    fn open_model(&self, fingerprint: u64) -> Result<Rc<Model>> {
        let open = self.model.borrow().clone().filter(|open| open.about.fingerprint == fingerprint);
        open.ok_or_else(|| Error::Data("the model that the run starts from is not open any more; open it again".to_owned()))
    }
}

fn packed(answer: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(answer).expect("answers are plain data")
}

async fn rows(values: &impl WeightSource, parameters: &Parameters, name: &str, rows: std::ops::Range<u32>) -> Result<Vec<u8>> {
    let parameter = parameters.iter().map(|(_, parameter)| parameter).find(|parameter| parameter.name == name);
    let parameter: &Parameter = parameter.ok_or_else(|| Error::Data(format!("the files have no {name}; open others")))?;
    Ok(bytemuck::cast_slice(&values.rows(parameter, rows).await?).to_vec())
}

/// Numbers of some parameters, from where they lie one behind the other.
fn values<'a>(mut bytes: &[u8], parameters: impl Iterator<Item = &'a Parameter>) -> Vec<Vec<f32>> {
    let own = parameters.map(|parameter| {
        let (own, others) = bytes.split_at(4 * parameter.elements());
        bytes = others;
        bytemuck::pod_collect_to_vec(own)
    });
    own.collect()
}
