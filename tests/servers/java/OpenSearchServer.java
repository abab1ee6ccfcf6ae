import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.opensearch.Version;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.PluginInfo;

/** An OpenSearch 2 or 3 node from the class path: HOME PORT_FILE PLUGIN,PLUGIN [SETTING=VALUE ...]; ends with its stdin. */
public final class OpenSearchServer extends Node {
    @SuppressWarnings({"unchecked", "rawtypes"})
    private OpenSearchServer(Environment environment, List plugins) {
        super(environment, (Collection) plugins, true);
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]).toAbsolutePath();
        Path config = Files.createDirectories(home.resolve("config"));
        Settings.Builder settings = Settings.builder().put("path.home", home);
        for (int i = 3; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        List<Object> plugins = new ArrayList<>();
        for (String name : arguments[2].split(",")) plugins.add(plugin(name));
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), config, () -> "node");
        OpenSearchServer node = new OpenSearchServer(environment, plugins);
        node.start();
        int port = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
        Path draft = Path.of(arguments[1] + ".new");
        Files.writeString(draft, Integer.toString(port));
        Files.move(draft, Path.of(arguments[1]), StandardCopyOption.ATOMIC_MOVE);
        while (System.in.read() >= 0) { }
        node.close();
        System.exit(0);
    }

    /** Version 2 takes plugins as classes, version 3 as descriptions. */
    private static Object plugin(String name) throws ClassNotFoundException {
        if (Version.CURRENT.major < 3) return Class.forName(name).asSubclass(Plugin.class);
        return new PluginInfo(name, "", "", Version.CURRENT, "21", name, null, List.of(), false);
    }
}
