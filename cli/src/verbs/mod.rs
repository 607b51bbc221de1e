//! The verbs: each takes its arguments, asks the engine, prints.

use crate::{Context, args::Verb, errors::Failure};

mod account;
mod backup;
mod chat;
mod config;
mod consumer;
mod contact;
mod doctor;
mod exec;
mod export;
mod feed;
pub(crate) mod init;
mod install;
mod link;
mod listen;
mod outbox;
mod read;
mod receive;
mod relay;
mod request;
mod rpc;
mod schema;
mod search;
mod send;

/// Runs a verb.
pub(crate) async fn run(ctx: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Init(args) => init::run(ctx, args).await,
        Verb::Invite(args) => link::invite(ctx, args).await,
        Verb::Join(args) => link::join(ctx, args).await,
        Verb::Contact(args) => contact::run(ctx, args.verb).await,
        Verb::Verify(args) => contact::verify(ctx, args).await,
        Verb::Send(args) if args.lines || args.batch => feed::run(ctx, args).await,
        Verb::Send(args) => send::run(ctx, args).await,
        Verb::Request(args) => request::run(ctx, args).await,
        Verb::Receive(args) => receive::run(ctx, args).await,
        Verb::Listen(args) => listen::run(ctx, args).await,
        Verb::Chats(args) => read::chats(ctx, args).await,
        Verb::Chat(args) => chat::run(ctx, args.verb).await,
        Verb::Search(args) => search::run(ctx, args).await,
        Verb::Outbox(args) => outbox::run(ctx, args.verb).await,
        Verb::History(args) => read::history(ctx, args).await,
        Verb::Export(args) => export::run(ctx, args).await,
        Verb::Info(args) => read::info(ctx, args).await,
        Verb::Read(args) => read::mark_read(ctx, args).await,
        Verb::Status(_) => read::status(ctx).await,
        Verb::Doctor(_) => doctor::run(ctx).await,
        Verb::Backup(args) => backup::backup(ctx, args).await,
        Verb::Restore(args) => backup::restore(ctx, args).await,
        Verb::Completions(args) => install::completions(&args),
        Verb::Man(args) => install::man(ctx, args),
        Verb::Account(args) => account::run(ctx, args.verb).await,
        Verb::Config(args) => config::run(ctx, args.verb).await,
        Verb::Daemon(args) => crate::daemon::run(ctx, args).await,
        Verb::Rpc(_) => rpc::run(ctx).await,
        Verb::Schema(args) => schema::run(ctx, &args),
        Verb::Tui(_) => crate::tui::run(ctx).await,
        Verb::Relay(args) => relay::run(ctx, args.verb).await,
        Verb::Demo(args) => crate::demo::run(ctx, args).await,
    }
}
