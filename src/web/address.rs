//! Where the files of a model at an address are, in the layout of Hugging Face.

/// The directory of a model's files, with a slash at its end: from the model's page, from the address of its files, or from that of
/// one of them. `None` if that is no address.
pub fn directory(typed: &str) -> Option<String> {
    let address = typed.trim().split(['?', '#']).next()?.trim_end_matches('/');
    let (scheme, rest) = address.split_once("://")?;
    let (host, path) = rest.split_once('/')?;
    if !matches!(scheme, "http" | "https") || host.is_empty() || path.is_empty() {
        return None;
    }
    for kind in ["/resolve/", "/tree/", "/blob/"] {
        if let Some((model, rest)) = path.split_once(kind) {
            let revision = rest.split('/').next()?;
            return Some(format!("{scheme}://{host}/{model}/resolve/{revision}/"));
        }
    }
    Some(format!("{scheme}://{host}/{path}/resolve/main/"))
}

/// The first byte, and the size of the file, of a header as `bytes 0-99/1234`.
pub fn content_range(header: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = header.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, size.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_model_are_found_from_any_of_its_addresses() {
        let files = Some("https://host.co/org/model/resolve/main/".to_owned());
        for typed in [
            "https://host.co/org/model",
            " https://host.co/org/model/ ",
            "https://host.co/org/model?library=transformers#files",
            "https://host.co/org/model/tree/main",
            "https://host.co/org/model/resolve/main/",
            "https://host.co/org/model/blob/main/config.json",
            "https://host.co/org/model/resolve/main/model.safetensors?download=true",
        ] {
            assert_eq!(directory(typed), files, "{typed}");
        }
        assert_eq!(directory("http://127.0.0.1:80/a/resolve/v1/x").unwrap(), "http://127.0.0.1:80/a/resolve/v1/");
        for typed in ["", "org/model", "https://host.co", "https://host.co/", "ftp://host.co/model", "https:///model"] {
            assert_eq!(directory(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_content_range_tells_where_it_starts_and_how_large_the_file_is() {
        assert_eq!(content_range("bytes 5-99/1234"), Some((5, Some(1234))));
        assert_eq!(content_range("bytes 0-99/*"), Some((0, None)));
        for broken in ["", "bytes", "bytes */1234", "items 0-1/2", "bytes -1-2/3"] {
            assert_eq!(content_range(broken), None, "{broken}");
        }
    }
}
