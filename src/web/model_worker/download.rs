//! Models from addresses, in pieces that are kept: a download that was interrupted goes on where it was.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortSignal, FileSystemReadWriteOptions, FileSystemSyncAccessHandle, ReadableStreamDefaultReader, RequestCache, RequestInit, Response,
    WorkerGlobalScope,
};

use super::address::content_range;
use super::model_cache::{ModelCache, Part, refused};
use crate::error::{Error, Result};
use crate::model::{CONFIG, Config, ConfigFile, Files, INDEX, WEIGHTS, shards};
use crate::text::TokenizerFiles;
use crate::web::js_error::reason;
use crate::web::model_protocol::Fetching;

/// Bytes behind which what has arrived is made safe.
const PIECE: u64 = 1 << 20;
/// Bytes that are asked for at once.
const SPAN: u64 = 64 << 20;

/// A download.
pub struct Download<'a> {
    /// The directory of the model's files.
    pub address: &'a str,
    /// Fires when the visitor stops it.
    pub signal: &'a AbortSignal,
    /// Hears how far it is.
    pub on_progress: &'a dyn Fn(Fetching),
}

/// What came of asking for a file.
enum Outcome {
    Whole,
    Missing,
    /// The host has another version than the one that was begun.
    Changed,
}

impl Download<'_> {
    /// Fetches of a model what is not there yet.
    ///
    /// # Errors
    /// One sentence on the host, the storage or the model. What has been fetched is kept, except of a model that is not supported.
    pub async fn run(&self, cache: &mut ModelCache) -> Result<()> {
        // Files of two versions are no model.
        if self.has_changed(cache).await? || !self.fetch_all(cache).await? {
            cache.clear().await?;
            if !self.fetch_all(cache).await? {
                return Err(Error::Data(format!("the files at {} are being changed; try again later", self.address)));
            }
        }
        cache.mark_whole().await
    }

    /// Does the host have other files than those that are there?
    async fn has_changed(&self, cache: &ModelCache) -> Result<bool> {
        for part in cache.parts().iter().filter(|part| part.is_whole) {
            let response = self.request("HEAD", &part.name, None).await?;
            let (etag, size) = (header(&response, "etag"), header(&response, "content-length").and_then(|size| size.parse().ok()));
            if !response.ok() || differs(part.etag.as_ref(), etag.as_ref()) || etag.is_none() && differs(part.size.as_ref(), size.as_ref())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches every file. Is it one version of the model?
    async fn fetch_all(&self, cache: &mut ModelCache) -> Result<bool> {
        match self.fetch(cache, CONFIG, 0).await? {
            Outcome::Whole => {}
            Outcome::Missing => {
                let what = format!("there is no {CONFIG} at {}; give the address of a model, as https://host/owner/model", self.address);
                return Err(Error::Data(what));
            }
            Outcome::Changed => return Ok(false),
        }
        // What is not supported need not be fetched, and nothing of it is kept.
        if let Err(error) = self.check_config(cache).await {
            cache.clear().await?;
            return Err(error);
        }
        let (names, all) = match self.fetch(cache, INDEX, 0).await? {
            Outcome::Whole => self.shards(cache).await?,
            Outcome::Missing => (vec![WEIGHTS.to_owned()], 0),
            Outcome::Changed => return Ok(false),
        };
        for name in TokenizerFiles::NAMES {
            if matches!(self.fetch(cache, name, all).await?, Outcome::Changed) {
                return Ok(false);
            }
        }
        for name in names {
            match self.fetch(cache, &name, all).await? {
                Outcome::Whole => {}
                Outcome::Missing => return Err(Error::Data(format!("there is no {name} at {}; another model may have it", self.address))),
                Outcome::Changed => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Checks that what came as `config.json` is that of a supported model. Many hosts answer every address with a page.
    async fn check_config(&self, cache: &ModelCache) -> Result<()> {
        let json = ConfigFile::read(&cache.files().await?).await?.json;
        if serde_json::from_str::<serde::de::IgnoredAny>(&json).is_err() {
            let what = format!("what is at {}{CONFIG} is no JSON; give the address of a model, as https://host/owner/model", self.address);
            return Err(Error::Data(what));
        }
        Config::from_json(&json).map(|_| ())
    }

    /// The names of the shards, and the bytes of all of them, if the index tells.
    async fn shards(&self, cache: &ModelCache) -> Result<(Vec<String>, u64)> {
        #[derive(serde::Deserialize, Default)]
        struct Index {
            metadata: Option<Metadata>,
        }
        #[derive(serde::Deserialize)]
        struct Metadata {
            total_size: Option<f64>,
        }
        let folder = cache.files().await?;
        let mut names: Vec<String> = shards(&folder, INDEX).await?.into_values().collect();
        names.sort();
        names.dedup();
        let bytes = folder.read(INDEX, 0..folder.size(INDEX).await?.unwrap_or(0)).await?;
        let index: Index = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok((names, index.metadata.and_then(|metadata| metadata.total_size).unwrap_or(0.0) as u64))
    }

    /// Fetches what is not there of a file. `all` is how many bytes the model has, as far as is known.
    async fn fetch(&self, cache: &mut ModelCache, name: &str, all: u64) -> Result<Outcome> {
        let mut part = cache.part(name);
        while !part.is_whole {
            let end = part.size.unwrap_or(u64::MAX).min(part.done + SPAN) - 1;
            let response = self.request("GET", name, Some(format!("bytes={}-{end}", part.done))).await?;
            let range = header(&response, "content-range");
            let (start, size) = match response.status() {
                206 => range.and_then(|range| content_range(&range)).unwrap_or((part.done, None)),
                // A host that knows no ranges sends the whole file, and a range of an empty one cannot be had.
                200 => (0, None),
                416 if part.size.is_none() => (part.done, Some(part.done)),
                404 | 410 => return Ok(Outcome::Missing),
                416 => return Ok(Outcome::Changed),
                status => return Err(self.answered(name, status)),
            };
            let etag = header(&response, "etag");
            if part.done > 0 && (differs(part.etag.as_ref(), etag.as_ref()) || differs(part.size.as_ref(), size.as_ref())) {
                return Ok(Outcome::Changed);
            }
            (part.size, part.etag) = (size.or(part.size), etag.or(part.etag));
            if response.status() == 416 {
                part.is_whole = true;
            } else {
                let (first, is_all) = (part.done, response.status() == 200);
                self.take(cache, &mut part, start, &response, all).await?;
                part.is_whole = is_all || part.size.map_or(part.done <= end, |size| part.done >= size);
                if part.done == first && !part.is_whole {
                    return Err(broke_off(name, part.done, "nothing more arrived"));
                }
            }
            if part.is_whole {
                part.size = Some(part.done);
            }
            cache.record(part.clone()).await?;
        }
        Ok(Outcome::Whole)
    }

    /// Writes what arrives, from that place on, and notes what is safe.
    async fn take(&self, cache: &mut ModelCache, part: &mut Part, start: u64, response: &Response, all: u64) -> Result<()> {
        let file = cache.open(&part.name).await?;
        let outcome = self.write(cache, part, start, response, &file, all).await;
        file.close();
        outcome
    }

    async fn write(
        &self,
        cache: &mut ModelCache,
        part: &mut Part,
        start: u64,
        response: &Response,
        file: &FileSystemSyncAccessHandle,
        all: u64,
    ) -> Result<()> {
        let Some(body) = response.body() else { return Ok(()) };
        let reader = ReadableStreamDefaultReader::new(&body).expect("nobody else reads it");
        let (mut at, before) = (start, cache.bytes() - part.done.min(cache.bytes()));
        part.done = start;
        file.truncate_with_f64(start as f64).map_err(|error| refused(&error))?;
        loop {
            let chunk = match JsFuture::from(reader.read()).await {
                Ok(chunk) => Reflect::get(&chunk, &"value".into()).expect("a chunk has a value"),
                Err(error) => return Err(broke_off(&part.name, part.done, &reason(&error))),
            };
            let is_end = chunk.is_undefined();
            if !is_end {
                at += append(file, at, chunk.unchecked_ref())?;
            }
            if is_end || at - part.done >= PIECE {
                file.flush().map_err(|error| refused(&error))?;
                part.done = at;
                cache.record(part.clone()).await?;
            }
            let done = before + at;
            (self.on_progress)(Fetching { file: part.name.clone(), done, all: all.max(done).max(before + part.size.unwrap_or(0)) });
            if is_end {
                return Ok(());
            }
        }
    }

    async fn request(&self, method: &str, name: &str, range: Option<String>) -> Result<Response> {
        let init = RequestInit::new();
        init.set_method(method);
        init.set_signal(Some(self.signal));
        // What is kept is kept by the page; the browser's own store would hold it twice.
        init.set_cache(RequestCache::NoStore);
        if let Some(range) = range {
            let headers = js_sys::Object::new();
            Reflect::set(&headers, &"Range".into(), &range.into()).expect("an object takes a value");
            init.set_headers(&headers);
        }
        let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
        let address = format!("{}{name}", self.address);
        match JsFuture::from(scope.fetch_with_str_and_init(&address, &init)).await {
            Ok(response) => Ok(response.unchecked_into()),
            Err(_) if !scope.navigator().on_line() => {
                Err(Error::Data(format!("{address} cannot be fetched: this browser is offline; what was fetched is kept")))
            }
            // Browsers do not tell a page which it is.
            Err(_) => Err(Error::Data(format!(
                "{address} cannot be fetched: the host does not answer, or does not let other sites read from it (CORS); download the model, and choose its folder"
            ))),
        }
    }

    fn answered(&self, name: &str, status: u16) -> Error {
        let advice = match status {
            401 | 403 => "it asks for a log-in, so download the model there, and choose its folder",
            _ => "try again later; what was fetched is kept",
        };
        Error::Data(format!("the host answers {status} to {}{name}: {advice}", self.address))
    }
}

fn broke_off(name: &str, done: u64, reason: &str) -> Error {
    Error::Data(format!("the download of {name} broke off ({reason}); its first {done} bytes are kept, so fetch it again to go on"))
}

/// Appends what arrived. Tells how many bytes that were.
fn append(file: &FileSystemSyncAccessHandle, at: u64, chunk: &Uint8Array) -> Result<u64> {
    let options = FileSystemReadWriteOptions::new();
    options.set_at(at as f64);
    let written = file.write_with_js_u8_array_and_options(chunk, &options).map_err(|error| refused(&error))?;
    match written as u32 == chunk.length() {
        true => Ok(written as u64),
        false => Err(refused(&JsValue::from_str("it is full"))),
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok().flatten()
}

/// Are both known, and not the same?
fn differs<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.is_some() && other.is_some() && one != other
}
