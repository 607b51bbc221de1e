//! `subrosa-relay`: everything is in the library.

fn main() -> std::process::ExitCode {
    subrosa_relay::command::main()
}
