//! `export`: a whole conversation into a file or a pipe, page by page.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use subrosa_client_core::{
    ApiError, Client, ErrorKind,
    api::{ExportPage, ExportParams, Exported, Line, Message},
    new_file::NewFile,
};

use crate::{
    Context,
    account::{Use, with_account},
    args::{ExportArgs, ExportFormat},
    errors::Failure,
    output::{json, progress::Unit, transcript::Transcript},
};

pub(crate) async fn run(ctx: &Context, args: ExportArgs) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "export", drain: true }, async |client| {
        // The first page tells whether there is such a chat, before a file is begun.
        let first = page(&*client, &args.chat, None).await?;
        if args.output == Path::new("-") {
            write(ctx, &*client, first, args.format, &mut io::stdout().lock()).await.map(|_| ())
        } else {
            let new = NewFile::create(&args.output, args.force)?;
            let (chat, name) = (first.chat.clone(), first.name.clone());
            let mut file = BufWriter::new(new.file());
            let messages =
                write(ctx, &*client, first, args.format, &mut file).await.map_err(|failure| about(failure, &new))?;
            drop(file);
            let path = new.path().display().to_string();
            new.publish()?;
            Ok(ctx.out.line(Exported { chat, name, path, messages })?)
        }
    })
    .await
}

async fn page(client: &dyn Client, chat: &str, after: Option<String>) -> Result<ExportPage, ApiError> {
    client.export(ExportParams { chat: chat.to_owned(), after, limit: None }).await
}

/// Writes page after page; says how many messages that were.
async fn write(
    ctx: &Context,
    client: &dyn Client,
    first: ExportPage,
    format: ExportFormat,
    out: &mut impl Write,
) -> Result<u64, Failure> {
    let progress = ctx.out.progress("export", "exporting");
    let transcript = Transcript::new(&first.name, format == ExportFormat::Markdown);
    if format != ExportFormat::Json {
        out.write_all(transcript.title(first.total).as_bytes())?;
    }
    let mut day = String::new();
    let mut written = 0;
    let mut current = first;
    loop {
        for message in &current.messages {
            let text = match format {
                ExportFormat::Json => json_line(message)?,
                ExportFormat::Text | ExportFormat::Markdown => transcript.message(message, &mut day),
            };
            out.write_all(text.as_bytes())?;
            written += 1;
        }
        progress.total(current.total.max(written), Unit::Messages);
        progress.done(written);
        let Some(last) = current.messages.last() else { break };
        current = page(client, &current.chat, Some(last.id.clone())).await?;
    }
    out.flush()?;
    Ok(written)
}

fn json_line(message: &Message) -> io::Result<String> {
    Ok(json(&Line::new(message.clone()))? + "\n")
}

/// An output error is one of the file, not of stdout.
fn about(failure: Failure, new: &NewFile) -> Failure {
    match failure {
        Failure::Output(error) => {
            let message = format!("cannot write {}: {error}", new.path().display());
            ApiError::new(ErrorKind::Storage, message).hint("is the disk full? Nothing is left of the file").into()
        }
        other => other,
    }
}
