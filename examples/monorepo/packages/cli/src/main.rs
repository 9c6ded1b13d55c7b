//! Converts between units: `yardstick 3 mi km`, or lines `VALUE FROM TO` on standard input with `-`.

mod convert;

use std::{env, io, process::ExitCode};

use convert::{convert, UNITS};

const VERSION: &str = match option_env!("YARDSTICK_VERSION") {
    Some(version) => version,
    None => "development",
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--version"] => {
            println!("yardstick {VERSION}");
            Ok(())
        }
        ["--list"] => {
            UNITS.iter().for_each(|unit| println!("{}", unit.symbol));
            Ok(())
        }
        ["-"] => filter(),
        [value, from, to] => {
            request(value, from, to).map(|result| println!("{value} {from} = {result} {to}"))
        }
        _ => Err("usage: yardstick VALUE FROM TO | - | --list | --version".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn request(value: &str, from: &str, to: &str) -> Result<f64, String> {
    let number = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
    convert(number, from, to)
}

fn filter() -> Result<(), String> {
    for line in io::stdin().lines() {
        let line = line.map_err(|error| error.to_string())?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [value, from, to] => println!("{}", request(value, from, to)?),
            _ => return Err(format!("`{line}` is not VALUE FROM TO")),
        }
    }
    Ok(())
}
