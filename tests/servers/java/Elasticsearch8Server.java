import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginBundle;
import org.elasticsearch.plugins.PluginsLoader;

/** An Elasticsearch 8 or 9 node with the modules in HOME/modules: HOME PORT_FILE - [SETTING=VALUE ...]; ends with its stdin. */
public final class Elasticsearch8Server {
    public static void main(String[] arguments) throws Exception {
        LogConfigurator.configureESLogging(); // before any class of the server asks for a logger
        Path home = Path.of(arguments[0]).toAbsolutePath();
        Path config = Files.createDirectories(home.resolve("config"));
        Settings.Builder settings = Settings.builder().put("path.home", home).put("node.name", "node");
        for (int i = 3; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(modules(home.resolve("modules")), Set.of(), Map.of(), false);
        Node node = new Node(new Environment(settings.build(), config), plugins);
        node.start();
        int port = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
        Path draft = Path.of(arguments[1] + ".new");
        Files.writeString(draft, Integer.toString(port));
        Files.move(draft, Path.of(arguments[1]), StandardCopyOption.ATOMIC_MOVE);
        while (System.in.read() >= 0) { }
        node.close();
        System.exit(0);
    }

    /** Version 9 asks one question more. */
    @SuppressWarnings("unchecked")
    private static Set<PluginBundle> modules(Path folder) throws Exception {
        Method load = Arrays.stream(PluginsLoader.class.getMethods())
            .filter(method -> method.getName().equals("loadModulesBundles")).findFirst().orElseThrow();
        Object answer = load.getParameterCount() == 1 ? load.invoke(null, folder) : load.invoke(null, folder, false);
        return (Set<PluginBundle>) answer;
    }
}
