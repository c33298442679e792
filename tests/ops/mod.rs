//! Every operation: its kernel against the reference, and a gradient's reference against differences.

use streambp::for_each_op;

macro_rules! tests {
    ($($name:ident $stem:ident,)*) => { $(mod $stem;)* };
}

for_each_op!(tests);
