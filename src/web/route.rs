//! The address of what the page shows: a view, the settings, and a moment of the step.
//!
//! It is what stands behind the `#`: `/step?seq-len=1024&at=153`. What is as in the first form is left out.

use form_urlencoded::Serializer;

use super::form::Form;

/// The views that the page has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// What it is about, in one picture.
    #[default]
    See,
    /// How it works.
    Learn,
    /// A step, operation by operation.
    Step,
    /// A run.
    Train,
    /// How long a sequence can be.
    Reach,
    /// Measurements and proof.
    Lab,
}

impl Route {
    /// All views, in the order of the bar.
    pub const ALL: [Route; 6] = [Route::See, Route::Learn, Route::Step, Route::Train, Route::Reach, Route::Lab];

    /// The name in addresses and in the style sheet.
    pub fn name(self) -> &'static str {
        match self {
            Route::See => "see",
            Route::Learn => "learn",
            Route::Step => "step",
            Route::Train => "train",
            Route::Reach => "reach",
            Route::Lab => "lab",
        }
    }

    /// Do the settings change what it shows?
    pub fn has_settings(self) -> bool {
        matches!(self, Route::Step | Route::Train | Route::Lab)
    }
}

/// What an address asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Address {
    /// The view.
    pub route: Route,
    /// The part of the view that it leads to, as `proof` in `/lab/proof`.
    pub section: Option<String>,
    /// The settings.
    pub form: Form,
    /// The turn of the step, if one was chosen.
    pub turn: Option<u64>,
    /// The length that See shows, if it is not the first one.
    pub length: Option<u32>,
}

/// The section of [`Route::Lab`] with the proof that all strategies give the same bits.
pub const PROOF: &str = "proof";

/// The names of the turn and of See's length among the settings.
const TURN: &str = "at";
const LENGTH: &str = "length";

impl Address {
    /// The place of the chapter in an address of [`Route::Learn`], as in `/learn/3`.
    pub fn chapter(&self) -> usize {
        self.section.as_ref().and_then(|section| section.parse::<usize>().ok()).map_or(0, |number| number.saturating_sub(1))
    }

    /// Reads what stands behind the `#`. What is not known is left out. Settings without a view are those of a run: so were all addresses
    /// of a page that had one view.
    pub fn parse(fragment: &str) -> Address {
        let (path, settings) = match fragment.strip_prefix('/') {
            Some(rest) => rest.split_once('?').unwrap_or((rest, "")),
            None if fragment.contains('=') => (Route::Train.name(), fragment),
            None => ("", ""),
        };
        let (name, section) = path.split_once('/').unwrap_or((path, ""));
        let route = Route::ALL.into_iter().find(|route| route.name() == name).unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(settings.as_bytes()).into_owned().collect();
        let number = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).and_then(|(_, number)| number.parse::<u64>().ok());
        let (turn, length) = (number(TURN), number(LENGTH).and_then(|length| length.try_into().ok()));
        let section = Some(section.to_owned()).filter(|section| !section.is_empty());
        Address { route, section, form: Form::from_pairs(pairs), turn, length }
    }

    /// What stands behind the `#`.
    pub fn fragment(&self) -> String {
        let mut settings = Serializer::new(String::new());
        settings.extend_pairs(self.form.to_pairs());
        if let Some(turn) = self.turn {
            settings.append_pair(TURN, &turn.to_string());
        }
        if let Some(length) = self.length {
            settings.append_pair(LENGTH, &length.to_string());
        }
        let settings = settings.finish();
        let view = if self.route == Route::See { "" } else { self.route.name() };
        let path = self.section.iter().fold(view.to_owned(), |path, section| format!("{path}/{section}"));
        if settings.is_empty() { format!("/{path}") } else { format!("/{path}?{settings}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::form::Field;

    #[test]
    fn an_address_comes_back() {
        let mut form = Form::default();
        form.set(Field::SeqLen, 1024);
        form.set(Field::Prompt, "fn main() { a & b }");
        for route in Route::ALL {
            for turn in [None, Some(153)] {
                let length = turn.map(|_| 16_384);
                let address = Address { route, section: None, form: form.clone(), turn, length };
                assert_eq!(Address::parse(&address.fragment()), address);
            }
        }
        assert_eq!(Address::default().fragment(), "/");
        assert_eq!(Address { route: Route::Step, turn: Some(7), ..Address::default() }.fragment(), "/step?at=7");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        for fragment in ["", "/", "/nowhere", "/?nothing", "see", "/?colour=red&at=soon"] {
            assert_eq!(Address::parse(fragment), Address::default(), "{fragment}");
        }
        assert_eq!((Address::parse("/learn/3").route, Address::parse("/learn/3").chapter()), (Route::Learn, 2));
        assert_eq!(["/learn", "/learn/0", "/learn/x"].map(|fragment| Address::parse(fragment).chapter()), [0; 3]);
    }

    #[test]
    fn an_address_may_lead_to_a_part_of_a_view() {
        let address = Address::parse("/lab/proof?seq-len=64");
        assert_eq!((address.section.as_deref(), address.route), (Some(PROOF), Route::Lab));
        assert_eq!(address.fragment(), "/lab/proof?seq-len=64");
        for fragment in ["", "/", "/lab", "/lab/", "/lab?at=1/2", "seq-len=64"] {
            assert_eq!(Address::parse(fragment).section, None, "{fragment}");
        }
    }

    #[test]
    fn settings_without_a_view_are_those_of_a_run() {
        let address = Address::parse("seq-len=2048&chunk=64");
        assert_eq!(address.route, Route::Train);
        assert_eq!((address.form.get(Field::SeqLen), address.form.get(Field::Chunk)), ("2048", "64"));
    }
}
