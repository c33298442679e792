//! No compiler decides whether a product is rounded before it is added: every shader says so with `fma`.
//!
//! Drivers contract `a * b + c` in some kernels and not in others, and the same operation may be compiled alone and fused with others.

use std::collections::HashSet;

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{BinaryOperator, Block, Expression, Function, Handle, LocalVariable, MathFunction, Module, ScalarKind, Statement};

use crate::shaders::{shaders, validated};

/// The functions of a module, and then its entry points.
fn functions<'a>(module: &'a Module, info: &'a ModuleInfo) -> Vec<(Option<Handle<Function>>, &'a Function, &'a FunctionInfo)> {
    let named = module.functions.iter().map(|(handle, function)| (Some(handle), function, &info[handle]));
    named.chain(module.entry_points.iter().enumerate().map(|(i, entry)| (None, &entry.function, info.get_entry_point(i)))).collect()
}

/// Calls `visit` for every statement of a block and of those within it.
fn each_statement(block: &Block, visit: &mut impl FnMut(&Statement)) {
    for statement in block {
        visit(statement);
        match statement {
            Statement::Block(inner) => each_statement(inner, visit),
            Statement::If { accept, reject, .. } => [accept, reject].into_iter().for_each(|inner| each_statement(inner, visit)),
            Statement::Loop { body, continuing, .. } => [body, continuing].into_iter().for_each(|inner| each_statement(inner, visit)),
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| each_statement(&case.body, visit)),
            _ => {}
        }
    }
}

/// What is known of a function.
struct Analysis<'a> {
    module: &'a Module,
    function: &'a Function,
    info: &'a FunctionInfo,
    /// Functions that return a product.
    returning: &'a HashSet<Handle<Function>>,
    /// Local variables that a product is stored to.
    holding: HashSet<Handle<LocalVariable>>,
}

impl Analysis<'_> {
    fn is_float(&self, expression: Handle<Expression>) -> bool {
        let of_value = self.info[expression].ty.inner_with(&self.module.types);
        of_value.scalar_kind() == Some(ScalarKind::Float)
    }

    /// The local variable that a pointer points into.
    fn variable(&self, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(variable) => Some(variable),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.variable(base),
            _ => None,
        }
    }

    /// Is the value a product, whose rounding a compiler may leave out?
    fn is_product(&self, expression: Handle<Expression>) -> bool {
        match &self.function.expressions[expression] {
            Expression::Binary { op: BinaryOperator::Multiply, .. } => self.is_float(expression),
            Expression::Unary { expr: inner, .. } | Expression::Splat { value: inner, .. } | Expression::Swizzle { vector: inner, .. } => {
                self.is_product(*inner)
            }
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.is_product(*base),
            Expression::Compose { components, .. } => components.iter().any(|&component| self.is_product(component)),
            Expression::Load { pointer } => self.variable(*pointer).is_some_and(|variable| self.holding.contains(&variable)),
            Expression::CallResult(called) => self.returning.contains(called),
            _ => false,
        }
    }

    /// Finds the variables that hold products.
    fn find_holding(&mut self) {
        loop {
            let mut found = Vec::new();
            each_statement(&self.function.body, &mut |statement| {
                if let Statement::Store { pointer, value } = statement
                    && self.is_product(*value)
                {
                    found.extend(self.variable(*pointer));
                }
            });
            let before = self.holding.len();
            self.holding.extend(found);
            if self.holding.len() == before {
                return;
            }
        }
    }

    fn returns_product(&self) -> bool {
        let mut returns = false;
        each_statement(&self.function.body, &mut |statement| {
            returns |= matches!(statement, Statement::Return { value: Some(value) } if self.is_product(*value));
        });
        returns
    }

    /// Sums of products, and functions that hide some.
    fn offences(&self) -> usize {
        let offends = |(handle, expression): (Handle<Expression>, &Expression)| match expression {
            Expression::Binary { op: BinaryOperator::Add | BinaryOperator::Subtract, left, right } => {
                self.is_float(handle) && [left, right].into_iter().any(|&operand| self.is_product(operand))
            }
            Expression::Math { fun, .. } => {
                use MathFunction::{Cross, Distance, Dot, FaceForward, Length, Mix, Normalize, Reflect, Refract, SmoothStep};
                matches!(fun, Cross | Distance | Dot | FaceForward | Length | Mix | Normalize | Reflect | Refract | SmoothStep)
            }
            _ => false,
        };
        self.function.expressions.iter().filter(|&expression| offends(expression)).count()
    }
}

/// The names of the functions of a module that leave the rounding of a product to compilers.
fn offenders(module: &Module, info: &ModuleInfo) -> Vec<String> {
    let mut returning = HashSet::new();
    let mut found = Vec::new();
    for (handle, function, info) in functions(module, info) {
        let mut analysis = Analysis { module, function, info, returning: &returning, holding: HashSet::new() };
        analysis.find_holding();
        if analysis.offences() > 0 {
            found.push(function.name.clone().unwrap_or_default());
        }
        if analysis.returns_product() {
            returning.extend(handle);
        }
    }
    found
}

#[test]
fn every_product_that_is_added_is_an_fma() {
    for checked in shaders() {
        let found = offenders(&checked.module, &checked.info);
        assert!(found.is_empty(), "{found:?} of {:?}", checked.dispatch.shader);
    }
}

#[test]
fn sums_of_products_are_found() {
    let of = |body: &str| {
        let text = format!("fn twice(a: f32) -> f32 {{ return a * 2.0; }} fn f(a: f32, b: f32, v: vec4<f32>) -> f32 {{ {body} }}");
        let (module, info) = validated(&text);
        offenders(&module, &info)
    };
    for body in [
        "return a * b + 1.0;",
        "return 1.0 - a * b;",
        "var sum = 0.0; sum += a * b; return sum;",
        "var sum = a; sum *= b; sum += 1.0; return sum;",
        "let c = a * b; return 1.0 + -c;",
        "return twice(a) + b;",
        "return (v * a).x + b;",
        "return dot(v, v);",
    ] {
        assert_eq!(of(body), ["f"], "{body}");
    }
    for body in ["return fma(a, b, a * b);", "return (a + b) * a;", "var i = 1u; i = i * 2u + 1u; return a;", "return exp(a * b) + 1.0;"] {
        assert!(of(body).is_empty(), "{body}");
    }
}
