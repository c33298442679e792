//! Saving the run in progress, and telling the page what is saved and whether anything can be.

use super::event::Event;
use super::messages::{self, send};
use super::running::RunState;
use super::saved_runs;
use super::state::Worker;
use crate::gpu::Tuning;
use crate::web::protocol::{FromWorker, Run, Storage};

/// Seconds after which it is looked again whether a run of another tab has ended.
const LIST_SECONDS: f64 = 2.0;

impl Worker {
    /// Saves the run in progress if it stands between steps. One that has diverged is not worth an earlier save.
    pub(super) async fn save(&mut self) {
        let Some(running) = self.running.as_mut().filter(|running| running.trainer.next_instance() == 0 && !running.has_diverged) else {
            return;
        };
        // Whoever waits for the device next hears that it is lost.
        let Ok(state) = running.state().await else { return };
        let (run, tuning) = (running.run.clone(), running.tuning());
        self.save_state(&run, tuning, &state).await;
    }

    /// Saves a state of the run in progress. A storage that takes nothing stops no run.
    pub(super) async fn save_state(&mut self, run: &Run, tuning: Tuning, state: &RunState) {
        let Some(directory) = &mut self.directory else { return };
        let storage = match directory.save(run, tuning, state).await {
            Ok(()) => {
                directory.saved_step().map(FromWorker::SavedAfter).iter().for_each(send);
                Storage::Works
            }
            Err(error) => saved_runs::health(&error),
        };
        self.send_storage(storage);
    }

    /// Finds out whether runs can be saved.
    pub(super) async fn probe_storage(&mut self) {
        let storage = saved_runs::probe().await;
        self.send_storage(storage);
    }

    fn send_storage(&mut self, storage: Storage) {
        if self.storage.as_ref() != Some(&storage) {
            send(&FromWorker::Storage(storage.clone()));
            self.storage = Some(storage);
        }
    }

    /// Tells the page which runs are saved. Where nothing can be read, nothing is.
    pub(super) async fn list_saved(&mut self) {
        let own = self.directory.as_ref().map(|directory| directory.id().to_owned());
        let runs = saved_runs::list(own.as_deref()).await.unwrap_or_default();
        // Another tab does not send when its run ends.
        if own.is_none() && !self.lists_again && runs.iter().any(|run| run.is_elsewhere) {
            self.lists_again = true;
            messages::wake_after(&self.to_itself, LIST_SECONDS, Event::ListAgain);
        }
        if self.saved.as_ref() != Some(&runs) {
            send(&FromWorker::SavedRuns(runs.clone()));
            self.saved = Some(runs);
        }
    }
}
