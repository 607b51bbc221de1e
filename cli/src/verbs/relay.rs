//! `relay serve`: the same relay as the program `subrosa-relay`.

use subrosa_client_core::{ApiError, ErrorKind};

use crate::{Context, args::RelayVerb, errors::Failure};

pub(crate) async fn run(ctx: &Context, verb: RelayVerb) -> Result<(), Failure> {
    let RelayVerb::Serve(mut args) = verb;
    args.json = args.json || ctx.global.json;
    subrosa_relay::serve(args)
        .await
        .map_err(|error| Failure::Api(ApiError::new(ErrorKind::Failed, format!("{error:#}"))))
}
