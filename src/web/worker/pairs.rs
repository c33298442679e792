//! The answers of a held-out pair, piece by piece.

use super::model_client::ModelClient;
use crate::error::Result;
use crate::train::{HeldOutPairs, ScoredSequence, TokenScore};
use crate::web::model_protocol::Request;
use crate::web::protocol::{PairsView, Run};

/// Tokens of a prompt and of an answer that are shown, at most.
const PROMPT_TOKENS: usize = 400;
const ANSWER_TOKENS: usize = 2000;

/// What a validation has found of pairs, in words.
pub async fn view(run: &Run, models: &ModelClient, found: &HeldOutPairs) -> Result<PairsView> {
    let [chosen, rejected] = &found.first;
    let (prompt, chosen) = parts(run, models, chosen).await?;
    let (_, rejected) = parts(run, models, rejected).await?;
    Ok(PairsView { margins: found.margins.clone(), prompt, answers: [chosen, rejected] })
}

/// The end of the prompt, and the answer.
async fn parts(run: &Run, models: &ModelClient, sequence: &ScoredSequence) -> Result<(String, Vec<(String, Option<TokenScore>)>)> {
    let answer = sequence.scores.iter().position(Option::is_some).unwrap_or(sequence.ids.len());
    let (start, end) = (answer.saturating_sub(PROMPT_TOKENS), sequence.ids.len().min(answer + ANSWER_TOKENS));
    let ids = &sequence.ids[start..end];
    let mut pieces = match run.is_encoded() {
        true => models.answer(Request::Decode(ids.to_vec()), None).await?,
        false => byte_pieces(ids),
    };
    let behind = pieces.split_off(answer - start);
    // The start of a prompt that is cut may be within a character.
    Ok((pieces.concat().trim_start_matches(char::REPLACEMENT_CHARACTER).to_owned(), whole(behind, &sequence.scores[answer..end], added)))
}

/// What each byte adds to a text: the last one of a character adds it.
pub fn byte_pieces(ids: &[u32]) -> Vec<String> {
    let bytes: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
    let (mut pieces, mut end) = (vec![String::new(); bytes.len()], 0);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            end += c.len_utf8();
            pieces[end - 1] = c.to_string();
        }
        if !chunk.invalid().is_empty() {
            end += chunk.invalid().len();
            pieces[end - 1] = char::REPLACEMENT_CHARACTER.to_string();
        }
    }
    pieces
}

/// Tokens that complete no character go with the one that does: what was found of them is added up.
pub fn whole<S: Copy>(pieces: Vec<String>, found: &[S], added: impl Fn(S, S) -> S) -> Vec<(String, S)> {
    let mut whole = Vec::new();
    let mut sum: Option<S> = None;
    for (piece, &found) in pieces.into_iter().zip(found) {
        let so_far = sum.take().map_or(found, |sum| added(sum, found));
        match piece.is_empty() {
            true => sum = Some(so_far),
            false => whole.push((piece, so_far)),
        }
    }
    whole
}

/// All tokens of an answer have one weight.
fn added(sum: Option<TokenScore>, score: Option<TokenScore>) -> Option<TokenScore> {
    match (sum, score) {
        (Some(sum), Some(TokenScore { log_prob, log_ratio, weight })) => {
            Some(TokenScore { log_prob: sum.log_prob + log_prob, log_ratio: sum.log_ratio + log_ratio, weight })
        }
        (sum, score) => sum.or(score),
    }
}
