//! What a run is trained on.

use web_sys::Blob;

use super::model_client::ModelClient;
use crate::error::{Error, Result};
use crate::text::Document;
use crate::train::{Dataset, PreferencesTask, StoriesTask, Task};
use crate::web::blob;
use crate::web::model_protocol::{Encoded, Request, Vocabulary};
use crate::web::protocol::{Data, Run, Start};

/// Reads the dataset of a run. `text` is the file of its text.
pub async fn dataset(run: &Run, text: Option<&Blob>, models: &ModelClient) -> Result<Dataset> {
    let seq_len = run.settings.seq_len;
    let given = || text.ok_or_else(|| Error::Data("the text is not at hand any more; choose it again".to_owned()));
    let task = |task: Task| match run.longest_prompt() {
        Some(longest) => Dataset::task_prompts(task, longest),
        None => Dataset::task(task, seq_len),
    };
    let (name, text, written) = match &run.data {
        Data::Task(kind, distance) => return task(Task::named(kind.name(), *distance).expect("every kind is a task")),
        Data::Stories(language) => return task(Task::Stories(StoriesTask { language: *language })),
        Data::Preferences(language) => return Dataset::preferences(PreferencesTask { language: *language }, seq_len),
        Data::OwnSource if !run.is_encoded() => return Dataset::own(seq_len),
        Data::Text(about) if !run.is_encoded() => return Dataset::text(blob::read_whole(&about.name, given()?).await?, seq_len),
        Data::OwnSource => (String::new(), blob::of_bytes(crate::shaders::text().as_bytes()), 0),
        Data::Text(about) => (about.name.clone(), given()?.clone(), about.written),
    };
    let model = match (run.vocabulary, &run.start) {
        (Vocabulary::Model, Start::Opened { fingerprint, .. }) => Some(*fingerprint),
        _ => None,
    };
    let config = Box::new(run.spec.config.clone());
    let request = Request::Read { name, vocabulary: run.vocabulary, model, config, written, has_pairs: run.has_pairs() };
    match models.answer(request, Some(&text)).await? {
        Encoded::Stream(ids) => Dataset::tokens(ids, seq_len),
        Encoded::Documents(documents) => Dataset::documents(&documents.into_iter().map(document).collect::<Vec<_>>(), seq_len),
        Encoded::Pairs(pairs) => Dataset::pairs(&pairs.into_iter().map(|pair| pair.map(document)).collect::<Vec<_>>(), seq_len),
    }
}

fn document((ids, assistant_mask): (Vec<u32>, Vec<bool>)) -> Document {
    Document { ids, assistant_mask }
}
