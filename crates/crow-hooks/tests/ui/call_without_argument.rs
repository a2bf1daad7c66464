use crow_hooks::{hookspecs, PluginManager};

#[hookspecs(project = "shop")]
pub trait Shop {
    async fn before_order(customer: &str, order: &mut Vec<String>);
    #[hookspec(firstresult)]
    async fn shipping(order: &[String]) -> u32;
    fn label(order: &[String]) -> String;
}

fn main() {
    let plugins = PluginManager::<dyn Shop>::new();
    let _ = plugins.hooks().before_order("Ada");
}
