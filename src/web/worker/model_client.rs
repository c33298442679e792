//! The trainer's line to the model worker, which has models in files.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use futures_channel::oneshot;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, MessageEvent, MessagePort};

use crate::error::{Error, Result};
use crate::model::archive::Kind;
use crate::model::{Parameter, RandomInit, WeightSource};
use crate::web::codec;
use crate::web::model_protocol::{Envelope, Request};
use crate::web::protocol::{Run, Start};

/// The line, which may lead nowhere.
#[derive(Clone, Default)]
pub struct ModelClient(Rc<RefCell<Line>>);

#[derive(Default)]
struct Line {
    port: Option<MessagePort>,
    waiting: Vec<(u32, oneshot::Sender<Result<Vec<u8>>>)>,
    last: u32,
}

impl ModelClient {
    /// Takes another line. Whoever waits for an answer on the old one hears that there is none.
    pub fn connect(&self, port: Option<MessagePort>) {
        if let Some(port) = &port {
            let line = self.0.clone();
            let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                let ((number, outcome), bytes): ((u32, Result<(), String>), _) = codec::unpack(&event.data());
                let waiting = &mut line.borrow_mut().waiting;
                let Some(at) = waiting.iter().position(|(waiting, _)| *waiting == number) else { return };
                // Whoever asked may have given up.
                let _ = waiting.swap_remove(at).1.send(outcome.map(|()| bytes).map_err(Error::Data));
            });
            port.set_onmessage(Some(receive.into_js_value().unchecked_ref()));
        }
        let mut line = self.0.borrow_mut();
        line.port = port;
        line.waiting.clear();
    }

    /// Lets the model worker do something. The text that it is about stays in its file.
    pub async fn ask(&self, request: Request, bytes: &[u8], text: Option<&Blob>) -> Result<Vec<u8>> {
        let gone = || Error::Data("the model that the run starts from is not open any more; open it again".to_owned());
        let answer = {
            let mut line = self.0.borrow_mut();
            line.last += 1;
            let number = line.last;
            let (pair, handed_over) = codec::pack(&Envelope { number, request }, bytes);
            let port = line.port.as_ref().ok_or_else(gone)?;
            port.post_message_with_transferable(&codec::with_files(&pair, text), &handed_over).expect("messages can be posted");
            let (sender, answer) = oneshot::channel();
            line.waiting.push((number, sender));
            answer
        };
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Lets the model worker answer something.
    pub async fn answer<A: DeserializeOwned>(&self, request: Request, text: Option<&Blob>) -> Result<A> {
        Ok(postcard::from_bytes(&self.ask(request, &[], text).await?).expect("trainer and model worker are of one build"))
    }

    /// The first values of a run's parameters.
    pub fn first_values(&self, run: &Run) -> FirstValues {
        let opened = match run.start {
            Start::Seed => None,
            Start::Opened { fingerprint, has_adapters, .. } => Some((fingerprint, has_adapters)),
        };
        FirstValues { fresh: RandomInit { seed: run.settings.seed }, opened, models: self.clone() }
    }
}

/// The first values of a run's parameters: drawn from its seed, or from the model that the model worker has open.
pub struct FirstValues {
    fresh: RandomInit,
    /// The model's fingerprint, and whether adapters are open too.
    opened: Option<(u64, bool)>,
    models: ModelClient,
}

impl WeightSource for FirstValues {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        match self.opened {
            Some((model, has_adapters)) if has_adapters || !parameter.is_adapter() => {
                let of = if parameter.is_adapter() { Kind::Adapters } else { Kind::Model };
                let request = Request::Rows { model, of, name: parameter.name.clone(), rows: [rows.start, rows.end] };
                Ok(Cow::Owned(bytemuck::pod_collect_to_vec(&self.models.ask(request, &[], None).await?)))
            }
            _ => self.fresh.rows(parameter, rows).await,
        }
    }
}
