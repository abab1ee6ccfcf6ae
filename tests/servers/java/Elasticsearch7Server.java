import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.Plugin;

/** An Elasticsearch 7 node from the class path: HOME PORT_FILE PLUGIN,PLUGIN [SETTING=VALUE ...]; ends with its stdin. */
public final class Elasticsearch7Server extends Node {
    private Elasticsearch7Server(Environment environment, List<Class<? extends Plugin>> plugins) {
        super(environment, plugins, false);
    }

    @Override
    protected void configureNodeAndClusterIdStateListener(ClusterService service) { } // logs only; may run once a process

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]).toAbsolutePath();
        Path config = Files.createDirectories(home.resolve("config"));
        Settings.Builder settings = Settings.builder().put("path.home", home).put("node.name", "node");
        for (int i = 3; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        for (String name : arguments[2].split(",")) plugins.add(Class.forName(name).asSubclass(Plugin.class));
        Elasticsearch7Server node = new Elasticsearch7Server(new Environment(settings.build(), config), plugins);
        node.start();
        int port = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
        Path draft = Path.of(arguments[1] + ".new");
        Files.writeString(draft, Integer.toString(port));
        Files.move(draft, Path.of(arguments[1]), StandardCopyOption.ATOMIC_MOVE);
        while (System.in.read() >= 0) { }
        node.close();
        System.exit(0);
    }
}
