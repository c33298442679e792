//! What the page knows: signals, in groups by what they are about. A view takes the groups that it shows; one that lets the visitor do
//! something takes all.

mod lab;
mod lesson;
mod models;
mod planner;
mod run;
mod settings;
mod step;

use leptos::prelude::*;

use super::worker_client::WorkerClient;
use crate::gpu::{Ceilings, DeviceClass, DeviceSpeed, Tuning};
use crate::step::Limits;
use crate::train::Suggestion;
use crate::web::form::Adapter;
use crate::web::i18n::Texts;
use crate::web::memory_curve::place_of;
use crate::web::planner::NAME;
use crate::web::protocol::{Device, SavedRun, Storage, ToWorker};
use crate::web::route::{Address, Route};
use crate::web::see;

pub use lab::Lab;
pub use lesson::LessonState;
pub use models::Models;
pub use planner::{Planner, Predicted};
pub use run::{CurveLook, PastRun, Phase, RunState, Wait, phase_of};
pub use settings::Settings;
pub use step::{Direction, Plans, StepState};

/// Everything that is shown, and the workers that do what the visitor asks.
#[derive(Clone, Copy)]
pub struct State {
    pub shell: Shell,
    pub settings: Settings,
    pub step: StepState,
    pub run: RunState,
    pub device: DeviceState,
    pub lab: Lab,
    pub lesson: LessonState,
    pub saves: Saves,
    pub notices: Notices,
    /// Models in files.
    pub models: Models,
    /// How long a sequence can be.
    pub planner: Planner,
    pub trainer: WorkerClient<ToWorker>,
}

/// What is around every view.
#[derive(Clone, Copy)]
pub struct Shell {
    pub texts: RwSignal<&'static Texts>,
    pub language: RwSignal<&'static str>,
    /// The view that is shown.
    pub route: RwSignal<Route>,
    /// Does the visitor want the settings beside it?
    pub shows_settings: RwSignal<bool>,
    /// The place of See's slider.
    pub see_place: RwSignal<u32>,
}

/// The GPU.
#[derive(Clone, Copy)]
pub struct DeviceState {
    pub adapter: RwSignal<Option<Device>>,
    /// The tile sizes of the run's kernels, or else those that one would begin with.
    pub tuning: RwSignal<Option<Tuning>>,
    /// All buffers on the device, by what they are for.
    pub buffers: RwSignal<Vec<(String, u64)>>,
    /// What the device does at most.
    pub ceilings: RwSignal<Option<Ceilings>>,
    /// Are gradients the same bits for every chunk length and strategy, if that was checked?
    pub same_bits: RwSignal<Option<bool>>,
    /// The share that is done of a search for the fastest kernels.
    pub search: RwSignal<Option<f64>>,
    /// How many operations have others than those of the device's class, when that was last found out.
    pub found: RwSignal<Option<usize>>,
}

/// Runs in the browser's storage.
#[derive(Clone, Copy)]
pub struct Saves {
    /// All of them, without the one in progress.
    pub saved: RwSignal<Vec<SavedRun>>,
    /// Can runs be saved? `None` while that is not known.
    pub storage: RwSignal<Option<Storage>>,
    /// The step after which the run in progress was saved.
    pub saved_after: RwSignal<Option<u64>>,
}

/// What the visitor is told.
#[derive(Clone, Copy)]
pub struct Notices {
    pub trouble: RwSignal<Option<Trouble>>,
    /// Something that the visitor should know and need not mend.
    pub notice: RwSignal<Option<String>>,
}

/// What went wrong, and what would fit if it was too large.
#[derive(Clone, PartialEq)]
pub struct Trouble {
    pub message: String,
    pub suggestion: Option<Suggestion>,
}

impl State {
    /// The state at the start, with what the page's address asks for.
    pub fn new(address: &Address, has_room_beside: bool) -> Self {
        let settings = Settings::new(address.form.clone());
        let device = DeviceState {
            adapter: RwSignal::new(None),
            tuning: RwSignal::new(None),
            buffers: RwSignal::new(Vec::new()),
            ceilings: RwSignal::new(None),
            same_bits: RwSignal::new(None),
            search: RwSignal::new(None),
            found: RwSignal::new(None),
        };
        let run = RunState::new(settings);
        let lesson = LessonState::new();
        lesson.go_to(if address.route == Route::Learn { address.chapter() } else { 0 });
        State {
            shell: Shell {
                texts: RwSignal::new(Texts::english()),
                language: RwSignal::new("en"),
                route: RwSignal::new(address.route),
                shows_settings: RwSignal::new(has_room_beside),
                see_place: RwSignal::new(place_of(see::within(address.length.unwrap_or(see::FIRST)))),
            },
            settings,
            step: StepState::new(settings, run.live),
            run,
            device,
            lab: Lab::new(),
            lesson,
            saves: Saves { saved: RwSignal::new(Vec::new()), storage: RwSignal::new(None), saved_after: RwSignal::new(None) },
            notices: Notices { trouble: RwSignal::new(None), notice: RwSignal::new(None) },
            models: Models::new(),
            planner: Planner::new(settings, run, device.ceilings, WorkerClient::in_role(NAME)),
            trainer: WorkerClient::in_role("trainer"),
        }
    }

    /// Lets what is known of the adapter decide about chunk lengths. A run keeps those that it began with.
    pub fn follow_adapter(self) {
        Effect::new(move |_| {
            let limits = |device: &Device| Limits { buffer: device.max_buffer, binding: device.max_binding };
            let limits = self.device.adapter.with(|device| device.as_ref().map_or(Limits::NONE, limits));
            let speed = self.device.ceilings.get().map_or_else(|| DeviceClass::TYPICAL.speed(), DeviceSpeed::from);
            let adapter = Adapter { limits, speed };
            if !self.run.has_run.get() && self.settings.adapter.get_untracked() != adapter {
                self.settings.adapter.set(adapter);
            }
        });
    }

    /// What is wrong, if anything is.
    pub fn shown_error(self) -> Option<Trouble> {
        let contradiction = || Some(Trouble { message: self.settings.contradiction.get()?, suggestion: None });
        self.notices.trouble.get().or_else(contradiction)
    }
}
