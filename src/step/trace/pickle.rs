//! A writer of Python's pickle format, limited to what traces need.
//!
//! The page has its own reader in JavaScript, which supports a part of protocol 4. The writer uses only that part.

use std::collections::HashMap;

/// The header with the protocol version. The page's reader accepts versions 2 to 4.
const PROTOCOL: [u8; 2] = [0x80, 4];
const EMPTY_DICT: u8 = b'}';
const EMPTY_LIST: u8 = b']';
const MARK: u8 = b'(';
const SET_ITEMS: u8 = b'u';
const APPEND: u8 = b'a';
const INT_1: u8 = b'K';
const INT_2: u8 = b'M';
const LONG: u8 = 0x8a;
const SHORT_TEXT: u8 = 0x8c;
const TEXT: u8 = b'X';
const MEMOIZE: u8 = 0x94;
const GET_SHORT: u8 = b'h';
const GET: u8 = b'j';
const STOP: u8 = b'.';

/// The memo index of a value, by which it can be written again in a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoIndex(u32);

/// A pickle under construction. A dict is opened, gets keys and values alternately, and is closed; a list is opened, and every value in it
/// is followed by [`Pickle::append`].
pub(super) struct Pickle {
    bytes: Vec<u8>,
    memoized: u32,
    names: HashMap<&'static str, MemoIndex>,
}

impl Pickle {
    pub(super) fn new() -> Self {
        Pickle { bytes: PROTOCOL.to_vec(), memoized: 0, names: HashMap::new() }
    }

    pub(super) fn open_dict(&mut self) {
        self.bytes.extend([EMPTY_DICT, MARK]);
    }

    pub(super) fn close_dict(&mut self) {
        self.bytes.push(SET_ITEMS);
    }

    pub(super) fn open_list(&mut self) {
        self.bytes.push(EMPTY_LIST);
    }

    /// Appends the last value to the list before it. Pickle has an opcode for many values at once, but the page implements it as a call
    /// with that many arguments, whose limit a long list exceeds.
    pub(super) fn append(&mut self) {
        self.bytes.push(APPEND);
    }

    pub(super) fn int(&mut self, value: u64) {
        match value {
            0..=0xff => self.bytes.extend([INT_1, value as u8]),
            0x100..=0xffff => self.bytes.extend([INT_2, value as u8, (value >> 8) as u8]),
            _ => {
                // Two's complement in the fewest bytes: one bit more than the number has, for the sign.
                let length = (64 - value.leading_zeros() as usize) / 8 + 1;
                let bytes = u128::from(value).to_le_bytes();
                self.bytes.extend([LONG, length as u8]);
                self.bytes.extend(&bytes[..length]);
            }
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(length) => self.bytes.extend([SHORT_TEXT, length]),
            Err(_) => {
                self.bytes.push(TEXT);
                self.bytes.extend((text.len() as u32).to_le_bytes());
            }
        }
        self.bytes.extend(text.as_bytes());
    }

    /// A text that occurs often: written once, then referred to by its memo index.
    pub(super) fn name(&mut self, name: &'static str) {
        match self.names.get(name) {
            Some(&index) => self.get(index),
            None => {
                self.text(name);
                let index = self.memoize();
                self.names.insert(name, index);
            }
        }
    }

    /// Memoizes the last value.
    pub(super) fn memoize(&mut self) -> MemoIndex {
        self.bytes.push(MEMOIZE);
        self.memoized += 1;
        MemoIndex(self.memoized - 1)
    }

    /// Writes a memoized value again.
    pub(super) fn get(&mut self, index: MemoIndex) {
        match u8::try_from(index.0) {
            Ok(number) => self.bytes.extend([GET_SHORT, number]),
            Err(_) => {
                self.bytes.push(GET);
                self.bytes.extend(index.0.to_le_bytes());
            }
        }
    }

    /// The bytes of the file. Exactly one value must be left.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(STOP);
        self.bytes
    }
}

/// A reader of exactly the opcodes that are written here.
#[cfg(test)]
pub(super) fn read(bytes: &[u8]) -> serde_json::Value {
    use serde_json::{Value, json};

    let (mut stack, mut marks, mut memo): (Vec<Value>, Vec<usize>, Vec<Value>) = Default::default();
    let mut rest = bytes.strip_prefix(&PROTOCOL).unwrap();
    let mut take = |length: usize| rest.split_off(..length).unwrap();
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u128, |sum, &byte| sum << 8 | u128::from(byte)) as u64;
    loop {
        match take(1)[0] {
            EMPTY_DICT => stack.push(json!({})),
            EMPTY_LIST => stack.push(json!([])),
            MARK => marks.push(stack.len()),
            SET_ITEMS => {
                let items = stack.split_off(marks.pop().unwrap());
                let dict = stack.last_mut().unwrap().as_object_mut().unwrap();
                dict.extend(items.chunks(2).map(|item| (item[0].as_str().unwrap().to_owned(), item[1].clone())));
            }
            APPEND => {
                let value = stack.pop().unwrap();
                stack.last_mut().unwrap().as_array_mut().unwrap().push(value);
            }
            INT_1 => stack.push(json!(take(1)[0])),
            INT_2 => stack.push(json!(number(take(2)))),
            LONG => {
                let length = usize::from(take(1)[0]);
                let bytes = take(length);
                assert!(bytes[length - 1] < 0x80, "the last bit is the sign");
                stack.push(json!(number(bytes)));
            }
            code @ (SHORT_TEXT | TEXT) => {
                let length = number(take(if code == TEXT { 4 } else { 1 }));
                stack.push(json!(std::str::from_utf8(take(length as usize)).unwrap()));
            }
            MEMOIZE => memo.push(stack.last().unwrap().clone()),
            code @ (GET_SHORT | GET) => {
                let index = number(take(if code == GET { 4 } else { 1 }));
                stack.push(memo[index as usize].clone());
            }
            STOP => break,
            code => panic!("operation {code} is not in use"),
        }
    }
    assert!(rest.is_empty() && marks.is_empty() && stack.len() == 1);
    stack.remove(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let numbers = [0, 1, 255, 256, 65_535, 65_536, (1 << 31) - 1, 1 << 31, 1 << 39, (1 << 53) - 1, u64::MAX >> 1];
        let long = "가".repeat(100);
        let mut pickle = Pickle::new();
        pickle.open_dict();
        pickle.name("numbers");
        pickle.open_list();
        for number in numbers {
            pickle.int(number);
            pickle.append();
        }
        let index = pickle.memoize();
        pickle.name("second");
        pickle.get(index);
        pickle.name("long");
        pickle.text(&long);
        pickle.name("name");
        pickle.name("name");
        pickle.close_dict();
        assert_eq!(read(&pickle.finish()), json!({ "numbers": numbers, "second": numbers, "long": long, "name": "name" }));
    }

    #[test]
    fn every_memoized_value_can_be_written_again() {
        let mut pickle = Pickle::new();
        pickle.open_list();
        let indices: Vec<MemoIndex> = (0..300)
            .map(|number| {
                pickle.int(number);
                let index = pickle.memoize();
                pickle.append();
                index
            })
            .collect();
        for index in indices {
            pickle.get(index);
            pickle.append();
        }
        let numbers: Vec<u64> = (0..300).chain(0..300).collect();
        assert_eq!(read(&pickle.finish()), json!(numbers));
    }
}
