//! A small HTTP service. It knows connections; what becomes of a request is up to the plugins.
//!
//! `cargo run -p http-service`, then `curl -H 'x-word: please' http://127.0.0.1:8080/hello/you`.
#![forbid(unsafe_code)]

mod hooks;
mod http;
mod plugins;

use std::{io, time::Duration};

use crow_hooks::{BoxFuture, HookError, PluginManager, RegisterError, Timer};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    hooks::{Service, ServiceRelay},
    http::{Request, Response},
};

/// The engine has no runtime: the clock is the host's.
struct Clock;

impl Timer for Clock {
    fn wait(&self, budget: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(budget))
    }
}

fn plugins() -> Result<PluginManager<dyn Service>, RegisterError> {
    let plugins = PluginManager::<dyn Service>::new();
    plugins.limit_time(Clock, Some(Duration::from_secs(1)));
    plugins.on_error(|error| eprintln!("{error}"));
    plugins.register(plugins::Pages::default())?;
    plugins.register(plugins::Cache::default())?;
    plugins.register(plugins::Door { word: "please".into() })?;
    plugins.register(plugins::AccessLog::default())?;
    Ok(plugins)
}

/// The life of a request.
async fn respond(hooks: &ServiceRelay, mut request: Request) -> (Request, Response) {
    let response = match answer(hooks, &mut request).await {
        Ok(response) => response,
        Err(error) if error.hook() == "on_request" => Response::new(403, error.reason()),
        Err(error) => Response::new(500, error.to_string()),
    };
    (request, response)
}

async fn answer(hooks: &ServiceRelay, request: &mut Request) -> Result<Response, HookError> {
    hooks.on_request(request).await?;
    let mut response = hooks.handle(request).await?.unwrap_or_else(|| Response::new(404, "nothing here"));
    hooks.on_response(request, &mut response).await?;
    Ok(response)
}

async fn serve(plugins: PluginManager<dyn Service>, mut stream: TcpStream) -> io::Result<()> {
    let Some(request) = http::read(&mut stream).await? else { return Ok(()) };
    // One snapshot per request: plugins may come and go meanwhile.
    let hooks = plugins.hooks();
    let (request, response) = respond(&hooks, request).await;
    http::write(&mut stream, &response).await?;
    // Isolated: what goes wrong here has been reported.
    let _ = hooks.after_response(&request, response.status).await;
    Ok(())
}

async fn accept(listener: TcpListener, plugins: PluginManager<dyn Service>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let plugins = plugins.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(plugins, stream).await {
                eprintln!("a connection failed: {error}");
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    accept(listener, plugins()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: std::net::SocketAddr, path: &str, word: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nx-word: {word}\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn plugins_make_the_service() {
        let plugins = plugins().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, plugins.clone()));

        let refused = get(address, "/hello/you", "now").await;
        assert!(refused.starts_with("HTTP/1.1 403") && refused.ends_with("say the word"), "{refused}");
        let greeted = get(address, "/hello/you", "please").await;
        assert!(greeted.starts_with("HTTP/1.1 200") && greeted.ends_with("Hello, you."), "{greeted}");
        assert!(greeted.contains("x-cached-paths: 1"), "{greeted}");
        assert!(get(address, "/nothing", "please").await.starts_with("HTTP/1.1 404"));
        let first = get(address, "/count", "please").await;
        assert_eq!(get(address, "/count", "please").await, first, "the second answer is the cache's");

        plugins.unregister("cache");
        assert_ne!(get(address, "/count", "please").await, first);
        // The log is written after the answer is out.
        let log = plugins.get_plugin::<plugins::AccessLog>("access-log").unwrap();
        while log.lines.lock().unwrap().len() < 6 {
            tokio::task::yield_now().await;
        }
        assert!(log.lines.lock().unwrap().contains(&"GET /hello/you 403".to_owned()));
    }
}
