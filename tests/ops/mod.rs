//! Every operation: its kernel against the reference, and the reference of a gradient against finite differences.

use streambp::for_each_op;

macro_rules! tests {
    ($($name:ident $stem:ident,)*) => { $(mod $stem;)* };
}

for_each_op!(tests);

mod long_sums;
