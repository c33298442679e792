//! Runs that leave the page, and runs of the program that come into it: as the files of a run's directory.

use std::rc::Rc;

use web_sys::Blob;

use super::messages;
use super::run_directory::RunDirectory;
use super::running::{RunState, Running};
use super::state::Worker;
use crate::error::{Error, Result};
use crate::train::Snapshot;
use crate::train::run_file::{CHECKPOINT, METRICS, RUN, RunFile};
use crate::web::blob;
use crate::web::model_protocol::Request;
use crate::web::protocol::{AtHand, FromWorker, GivenText, may_be_rows};
use crate::web::run_files;

/// Bytes by which rows of JSON are recognised.
const START_BYTES: u64 = 1 << 16;

/// The files of a run's directory.
struct Directory(Vec<(String, Blob)>);

impl Directory {
    fn file(&self, name: &str) -> Option<&Blob> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, file)| file)
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self.file(name) {
            Some(file) => blob::read_whole(name, file).await.map(Some),
            None => Ok(None),
        }
    }

    /// The text of the run, if it is there.
    async fn text(&self, started: &RunFile) -> Result<Option<(GivenText, Blob)>> {
        let Some(name) = run_files::text_name(started) else { return Ok(None) };
        // Files that are chosen one by one have no folders in their names.
        let shown = name.rsplit('/').next().unwrap_or(name);
        let Some(file) = self.file(name).or_else(|| self.file(shown)) else { return Ok(None) };
        let start =
            blob::read(file, 0..START_BYTES).await.map_err(|_| Error::Data(format!("{name} cannot be read; choose the run again")))?;
        let may_be_rows = may_be_rows(name, &start.to_vec());
        let given = GivenText { name: shown.to_owned(), size: file.size() as u64, written: started.written.unwrap_or(0), may_be_rows };
        Ok(Some((given, file.clone())))
    }
}

impl Worker {
    /// Lets the model worker give the visitor the directory of the run.
    pub(super) async fn export_run(&mut self) -> Result<()> {
        let (run, state) = match (&mut self.running, &self.waiting) {
            (Some(running), _) if running.trainer.next_instance() > 0 => {
                return Err(Error::Setting("a step is under way; go on to its end first, and then export the run".to_owned()));
            }
            (Some(running), _) => (running.run.clone(), running.state().await?),
            (None, Some(waiting)) if waiting.good.is_some() => (waiting.run.clone(), waiting.good.clone().expect("it is there")),
            _ => return Ok(()),
        };
        let files = run_files::files(&run, &state.history, &state.snapshot);
        let bytes: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64)).collect();
        let text = run_files::text_path(&run);
        let file = self.directory.as_ref().and_then(RunDirectory::text).filter(|_| text.is_some());
        self.models.ask(Request::PackRun { step: state.snapshot.step, files, text }, &bytes, file).await?;
        Ok(())
    }

    /// Goes on with a run in files.
    pub(super) async fn open_run(&mut self, names: Vec<String>, files: Vec<Blob>, at_hand: AtHand) {
        self.drop_run().await;
        if let Err(error) = self.opened_run(names, files, at_hand).await {
            self.drop_run().await;
            // A shorter sequence would be another run.
            self.refuse(&error, None);
        }
        self.list_saved().await;
    }

    async fn opened_run(&mut self, names: Vec<String>, files: Vec<Blob>, at_hand: AtHand) -> Result<()> {
        let given = files.last().cloned().filter(|_| files.len() > names.len()).zip(at_hand.text.clone());
        let directory = Directory(names.into_iter().zip(files).collect());
        let gpu = self.open().await?;
        let started = run_files::started(directory.read(RUN).await?.as_deref())?;
        let checkpoint = directory.read(CHECKPOINT).await?.expect("it is what the directory was known by");
        let snapshot = Snapshot::from_bytes(CHECKPOINT, &checkpoint)?;
        let history = run_files::history(&directory.read(METRICS).await?.unwrap_or_default(), &snapshot);
        let (about, text) = directory.text(&started).await?.or(given.map(|(file, about)| (about, file))).unzip();
        let run = run_files::run(&started, &snapshot, about, at_hand)?;
        let text = text.filter(|_| run_files::text_path(&run).is_some());
        let gpu = self.kernels.for_run(&gpu, &run.spec).await?;
        let dataset = self.dataset_to_train(&gpu, &run, text.as_ref()).await?;
        let state = Rc::new(RunState { snapshot, history });
        let running = Running::begin(&gpu, run, dataset, &self.models, Some(state)).await?;
        self.directory = Some(RunDirectory::new(text.clone()).await);
        let message = FromWorker::Resumed(Box::new(running.run.clone()), running.history.clone());
        messages::send_with_file(&message, text.as_ref());
        self.take(running);
        self.pause().await;
        Ok(())
    }
}
