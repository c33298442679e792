//! Stories in English. All subjects have three letters, so that values lie equally far behind them.

use super::grammar::{Grammar, Kind};

const NAMES: &[&str] = &["Mia", "Tom", "Ben", "Eva", "Sam", "Zoe"];

pub const GRAMMAR: Grammar = Grammar {
    kinds: &[
        Kind {
            subjects: NAMES,
            values: ["park", "barn", "cave", "mill", "wood", "den"],
            fact: "{s} is in the {v}.",
            question: "Where is {s}?",
            answer: "{s} is in the {v}.",
        },
        Kind {
            subjects: NAMES,
            values: ["jam", "rice", "soup", "nuts", "figs", "ham"],
            fact: "{s} likes {v}.",
            question: "What does {s} like?",
            answer: "{s} likes {v}.",
        },
        Kind {
            subjects: &["key", "map", "toy", "net"],
            values: ["box", "jar", "sack", "pot", "cart", "well"],
            fact: "The {s} is in the {v}.",
            question: "Where is the {s}?",
            answer: "The {s} is in the {v}.",
        },
        Kind {
            subjects: &["dog", "fox", "pig", "hen"],
            values: ["red", "blue", "green", "white", "pink", "yellow"],
            fact: "The {s} is {v}.",
            question: "What colour is the {s}?",
            answer: "The {s} is {v}.",
        },
    ],
    scenery: &["It is a warm day.\n", "The wind is cold.\n", "It rains a little.\n", "Birds sing in the trees.\n"],
};
