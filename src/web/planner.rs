//! The planner: a second worker, without a device, that computes what takes too long for the page's own thread.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::codec;
use super::memory_curve::{Chart, FromPlanner, Line, ToPlanner, Topic};
use super::question::Question;
use crate::step::{BatchShape, StrategyKind};
use crate::train::{fastest_strategy, longest};

/// The worker's name, by which it knows what it is for.
pub const NAME: &str = "planner";

/// The newest message of every topic that has not been answered.
#[derive(Clone, Default)]
struct Waiting(Rc<RefCell<[Option<ToPlanner>; Topic::SLOTS]>>);

/// Starts to listen.
pub fn start() {
    console_error_panic_hook::set_once();
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let waiting = Waiting::default();
    let is_busy = Rc::new(RefCell::new(false));
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let (message, _): (ToPlanner, _) = codec::unpack(&event.data());
        let slot = message.topic.slot();
        waiting.0.borrow_mut()[slot] = Some(message);
        if !is_busy.replace(true) {
            let (waiting, is_busy) = (waiting.clone(), is_busy.clone());
            spawn_local(async move {
                waiting.serve().await;
                is_busy.replace(false);
            });
        }
    });
    scope.set_onmessage(Some(receive.into_js_value().unchecked_ref()));
}

impl Waiting {
    /// Answers until nothing waits.
    async fn serve(&self) {
        loop {
            listen().await;
            let Some(message) = self.0.borrow_mut().iter_mut().find_map(Option::take) else { return };
            let ToPlanner { topic, number, question } = message;
            let answer = match topic {
                Topic::Own | Topic::Shown => self.chart(&question, topic).await.map(|chart| FromPlanner::Charted(topic, number, chart)),
                Topic::Shortest(seq_len) => Some(FromPlanner::Chosen(number, shortest(&question, seq_len))),
                Topic::Times(seq_len, speed, network) => {
                    let all = StrategyKind::ALL.map(|kind| question.seconds(kind, seq_len, &speed, network));
                    let times = all.each_ref().map(|(seconds, _)| *seconds);
                    let [.., (_, of_machines)] = all;
                    Some(FromPlanner::Timed(number, times, of_machines))
                }
                Topic::Frontier(seq_len, speed) => Some(FromPlanner::Frontier(number, question.frontier(seq_len, &speed))),
                Topic::Longest => Some(FromPlanner::Chosen(
                    number,
                    longest(question.objective, &question.spec, question.sequences, question.budget, question.limits()),
                )),
            };
            answer.iter().for_each(send);
        }
    }

    /// `None` if a newer message on that topic came in between.
    async fn chart(&self, question: &Question, topic: Topic) -> Option<Chart> {
        let is_newest = async || {
            listen().await;
            self.0.borrow()[topic.slot()].is_none()
        };
        // It goes furthest, and so says how far the chart goes.
        let stream = Line::plan(question, StrategyKind::Stream, None);
        let end = stream.end();
        let mut lines = Vec::new();
        for kind in [StrategyKind::Standard, StrategyKind::Checkpoint] {
            if !is_newest().await {
                return None;
            }
            lines.push(Line::plan(question, kind, Some(end)));
        }
        lines.push(stream);
        Some(Chart { model_bytes: question.model_bytes(), end, lines })
    }
}

fn shortest(question: &Question, seq_len: u32) -> Option<(crate::step::Strategy, u32)> {
    let shape = BatchShape::uniform(question.sequences, seq_len);
    let fastest = fastest_strategy(question.objective, &question.spec, &shape, question.budget, question.limits(), &question.speed);
    fastest.map(|strategy| (strategy, seq_len))
}

fn send(message: &FromPlanner) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let (pair, handed_over) = codec::pack(message, &[]);
    scope.post_message_with_transfer(&pair, &handed_over).expect("messages can be posted");
}

/// Lets in the messages that have arrived.
async fn listen() {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let wait = js_sys::Promise::new(&mut |resolve, _| {
        scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, 0).expect("a worker has timers");
    });
    JsFuture::from(wait).await.expect("a timer does not fail");
}
