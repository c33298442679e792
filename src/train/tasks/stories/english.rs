//! Stories in English. All subjects have three letters, so that values lie equally far behind them.

use super::grammar::{Grammar, Kind};

const NAMES: &[&str] = &["Mia", "Tom", "Ben", "Eva", "Sam", "Zoe", "Leo", "Kim"];

pub const GRAMMAR: Grammar = Grammar {
    kinds: &[
        Kind {
            subjects: NAMES,
            values: ["park", "barn", "cave", "garden", "forest", "tower", "house", "mill"],
            fact: "{s} is in the {v}.",
            question: "Where is {s}?",
            answer: "{s} is in the {v}.",
        },
        Kind {
            subjects: NAMES,
            values: ["plums", "bread", "cake", "milk", "rice", "soup", "nuts", "jam"],
            fact: "{s} likes {v}.",
            question: "What does {s} like?",
            answer: "{s} likes {v}.",
        },
        Kind {
            subjects: &["key", "map", "toy", "lid", "bag", "net"],
            values: ["box", "jar", "sack", "drawer", "well", "pot", "tent", "cart"],
            fact: "The {s} is in the {v}.",
            question: "Where is the {s}?",
            answer: "The {s} is in the {v}.",
        },
        Kind {
            subjects: &["dog", "fox", "pig", "hen", "cow", "ram"],
            values: ["red", "blue", "green", "white", "yellow", "pink", "orange", "silver"],
            fact: "The {s} is {v}.",
            question: "What colour is the {s}?",
            answer: "The {s} is {v}.",
        },
    ],
    scenery: &["It is a warm day.\n", "The wind is cold.\n", "It rains a little.\n", "Birds sing in the trees.\n"],
};
