//! `schema`: what programs can rely on, made from the types themselves.

use subrosa_client_core::{
    clean::{clean_line, json_line, json_lines},
    schema,
};

use crate::{
    Context,
    args::SchemaArgs,
    errors::{Failure, usage},
    output::print,
};

pub(crate) fn run(ctx: &Context, args: &SchemaArgs) -> Result<(), Failure> {
    let schema = match (&args.method, &args.line) {
        (Some(name), _) => schema::method(name).ok_or_else(|| {
            usage(
                format!("no method is named {:?}", clean_line(name)),
                format!("there are: {}", schema::method_names().join(", ")),
            )
        })?,
        (None, Some(kind)) => schema::line(kind).ok_or_else(|| {
            usage(
                format!("no line has the type {:?}", clean_line(kind)),
                format!("there are: {}", schema::line_types().join(", ")),
            )
        })?,
        (None, None) => schema::document(),
    };
    // One line for programs, as everywhere; indented for people.
    let text = if ctx.out.json { json_line(&schema) } else { json_lines(&schema) };
    Ok(print(&text.map_err(std::io::Error::from)?)?)
}
