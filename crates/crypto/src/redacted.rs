//! `Debug` for types that hold secrets: the type's name and nothing else, so that a log line or
//! a failed `unwrap` never prints a key.

macro_rules! redacted_debug {
    ($($name:ident),+ $(,)?) => {
        $(impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })+
    };
}

pub(crate) use redacted_debug;
