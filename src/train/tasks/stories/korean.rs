//! Stories in Korean. All subjects have two syllables, so that values lie equally far behind them.

use super::grammar::{Grammar, Kind};

const NAMES: &[&str] = &["미나", "지훈", "서연", "하나", "도윤", "유리"];

pub const GRAMMAR: Grammar = Grammar {
    kinds: &[
        Kind {
            subjects: NAMES,
            values: ["공원", "학교", "시장", "바다", "마을", "호수"],
            fact: "{s}이/가 {v}에 있다.",
            question: "{s}은/는 어디에 있나?",
            answer: "{s}은/는 {v}에 있다.",
        },
        Kind {
            subjects: NAMES,
            values: ["빵", "떡", "귤", "사과", "우유", "포도"],
            fact: "{s}은/는 {v}을/를 좋아한다.",
            question: "{s}은/는 무엇을 좋아하나?",
            answer: "{s}은/는 {v}을/를 좋아한다.",
        },
        Kind {
            subjects: &["열쇠", "지도", "모자", "연필"],
            values: ["상자", "서랍", "가방", "책장", "자루", "금고"],
            fact: "{s}이/가 {v}에 있다.",
            question: "{s}은/는 어디에 있나?",
            answer: "{s}은/는 {v}에 있다.",
        },
        Kind {
            subjects: &["여우", "토끼", "거북", "사슴"],
            values: ["빨간색", "파란색", "노란색", "하얀색", "검은색", "초록색"],
            fact: "{s}은/는 {v}이다.",
            question: "{s}은/는 무슨 색인가?",
            answer: "{s}은/는 {v}이다.",
        },
    ],
    scenery: &["날이 따뜻하다.\n", "바람이 차다.\n", "비가 조금 온다.\n", "새가 노래한다.\n"],
};
