/* main() of a plugin that has none of its own. Alone in its object, so that one of the plugin's takes its place. */
#include "enlight-plugin.h"

int main(int argc, char **argv)
{
	return enlight_main(argc, argv);
}
