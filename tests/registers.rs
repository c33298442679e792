//! The registers of the kernels for GPUs: floats that a thread holds at a time, counted in naga's representation of each shader.

use std::collections::HashMap;

use naga::valid::FunctionInfo;
use naga::{Block, Expression, Function, Handle, LocalVariable, Module, ScalarKind, Statement, TypeInner};
use streambp::step::OpKind;

use crate::shaders::{Checked, shaders};

/// The most floats of a thread, without those that a compiler saves or adds.
const MOST_IN_ATTENTION: usize = 96;
const MOST_ELSEWHERE: usize = 110;

#[test]
fn a_thread_has_few_floats() {
    let mut most: HashMap<&str, usize> = HashMap::new();
    for Checked { dispatch, module, info } in shaders() {
        let constant = |name: &str| dispatch.shader.constants.iter().any(|(known, _)| *known == name);
        let is_attention = matches!(dispatch.shader.kind, OpKind::Attention | OpKind::AttentionQueryGrad | OpKind::AttentionKeyValueGrad);
        // Other classes are for CPUs, whose drivers keep registers in memory anyway.
        if !constant("TILED") {
            continue;
        }
        let of_function = |(handle, function)| live_floats(module, function, &info[handle]);
        let floats = module.functions.iter().map(of_function).max().unwrap_or(0);
        let limit = if is_attention { MOST_IN_ATTENTION } else { MOST_ELSEWHERE };
        assert!(floats <= limit, "{floats} floats: {:?}", dispatch.shader);
        let known = most.entry(dispatch.shader.kind.stem()).or_default();
        *known = floats.max(*known);
    }
    let mut most: Vec<_> = most.into_iter().collect();
    most.sort_unstable();
    eprintln!("floats of a thread, at most: {most:?}");
    assert!(most.len() >= 6 && most.iter().all(|(_, floats)| *floats >= 16), "{most:?}");
}

/// The most floats that are alive at a time in a function: variables from their first use to their last, values from where they are computed
/// to their last use. What is used in a loop and was there before it stays to the loop's end.
fn live_floats(module: &Module, function: &Function, info: &FunctionInfo) -> usize {
    let mut walk = Walk { function, position: 0, uses: HashMap::new(), loops: Vec::new() };
    walk.block(&function.body);
    let mut changes = vec![0isize; walk.position + 2];
    for (value, positions) in &walk.uses {
        let floats = match *value {
            Value::Variable(variable) => floats_of(&module.types[function.local_variables[variable].ty].inner),
            Value::Expression(expression) => floats_of(info[expression].ty.inner_with(&module.types)),
        };
        let (first, mut last) = (*positions.iter().min().unwrap(), *positions.iter().max().unwrap());
        for &(start, end) in &walk.loops {
            if first < start && positions.iter().any(|position| (start..=end).contains(position)) {
                last = last.max(end);
            }
        }
        changes[first] += floats as isize;
        changes[last + 1] -= floats as isize;
    }
    let alive = changes.iter().scan(0, |alive, change| {
        *alive += change;
        Some(*alive)
    });
    alive.max().unwrap_or(0) as usize
}

fn floats_of(inner: &TypeInner) -> usize {
    match inner {
        TypeInner::Scalar(scalar) if scalar.kind == ScalarKind::Float => 1,
        TypeInner::Vector { size, scalar } if scalar.kind == ScalarKind::Float => *size as usize,
        TypeInner::Matrix { columns, rows, .. } => *columns as usize * *rows as usize,
        _ => 0,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Value {
    Variable(Handle<LocalVariable>),
    Expression(Handle<Expression>),
}

/// Where values are used, in the order of the statements.
struct Walk<'a> {
    function: &'a Function,
    position: usize,
    uses: HashMap<Value, Vec<usize>>,
    loops: Vec<(usize, usize)>,
}

impl Walk<'_> {
    fn block(&mut self, block: &Block) {
        block.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement) {
        self.position += 1;
        match statement {
            Statement::Emit(range) => {
                for expression in range.clone() {
                    self.position += 1;
                    self.operands(expression);
                    self.used(expression);
                }
            }
            Statement::Block(block) => self.block(block),
            Statement::If { condition, accept, reject } => {
                self.used(*condition);
                self.block(accept);
                self.block(reject);
            }
            Statement::Switch { selector, cases } => {
                self.used(*selector);
                cases.iter().for_each(|case| self.block(&case.body));
            }
            Statement::Loop { body, continuing, break_if } => {
                let start = self.position;
                self.block(body);
                self.block(continuing);
                break_if.iter().for_each(|condition| self.used(*condition));
                self.loops.push((start, self.position));
            }
            Statement::Store { pointer, value } => {
                self.used(*value);
                self.used(*pointer);
            }
            Statement::Call { arguments, .. } => arguments.iter().for_each(|argument| self.used(*argument)),
            Statement::Return { value: Some(value) } => self.used(*value),
            _ => {}
        }
    }

    fn note(&mut self, value: Value) {
        self.uses.entry(value).or_default().push(self.position);
    }

    /// A value is used here. A load is the variable that it loads.
    fn used(&mut self, expression: Handle<Expression>) {
        match self.function.expressions[expression] {
            Expression::LocalVariable(variable) => self.note(Value::Variable(variable)),
            Expression::Load { pointer } if self.is_variable(pointer) => self.used(pointer),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } if self.is_variable(base) => self.used(base),
            _ => self.note(Value::Expression(expression)),
        }
    }

    fn is_variable(&self, expression: Handle<Expression>) -> bool {
        matches!(self.function.expressions[expression], Expression::LocalVariable(_))
    }

    fn operands(&mut self, expression: Handle<Expression>) {
        let operands: Vec<Handle<Expression>> = match &self.function.expressions[expression] {
            Expression::Access { base, index } => vec![*base, *index],
            Expression::AccessIndex { base, .. } => vec![*base],
            Expression::Splat { value, .. } => vec![*value],
            Expression::Swizzle { vector, .. } => vec![*vector],
            Expression::Compose { components, .. } => components.clone(),
            Expression::Load { pointer } => vec![*pointer],
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => vec![*expr],
            Expression::Binary { left, right, .. } => vec![*left, *right],
            Expression::Select { condition, accept, reject } => vec![*condition, *accept, *reject],
            Expression::Math { arg, arg1, arg2, arg3, .. } => [Some(*arg), *arg1, *arg2, *arg3].into_iter().flatten().collect(),
            Expression::Relational { argument, .. } => vec![*argument],
            _ => Vec::new(),
        };
        operands.into_iter().for_each(|operand| self.used(operand));
    }
}
