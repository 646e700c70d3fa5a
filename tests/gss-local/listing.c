#include "listing.h"

#define PIECE 65536

struct GlListing {
	GlPlace *folder;
	GlLinks *links;
	GlListingForm form;
	GPtrArray *names;
	guint next;
	bool begun;
	bool comma;
};

GlListing *gl_listing_new(GlPlace *folder, GlLinks *links, GlListingForm form, GError **error)
{
	GlListing *listing = g_new0(GlListing, 1);

	listing->folder = folder;
	listing->links = links;
	listing->form = form;
	listing->names = gl_place_list(folder, error);
	if (listing->names == NULL) {
		gl_listing_free(listing);
		return NULL;
	}
	return listing;
}

void gl_listing_free(gpointer data)
{
	GlListing *listing = data;

	gl_place_free(listing->folder);
	gl_links_free(listing->links);
	g_clear_pointer(&listing->names, g_ptr_array_unref);
	g_free(listing);
}

static void append_entry(GlListing *listing, GString *out, const GlPlace *place)
{
	if (listing->form == GL_LISTING_FULL || listing->form == GL_LISTING_MINIMAL) {
		g_string_append(out, "<return>");
		gl_resource_append_xml(out, place, listing->links,
		                       listing->form == GL_LISTING_MINIMAL);
		g_string_append(out, "</return>");
		return;
	}
	if (listing->comma)
		g_string_append(out, ",\n");
	gl_resource_append_json(out, place, listing->links, listing->form == GL_LISTING_JSON_FULL);
	listing->comma = true;
}

bool gl_listing_next(GString *out, gpointer data)
{
	GlListing *listing = data;
	bool json = listing->form == GL_LISTING_JSON || listing->form == GL_LISTING_JSON_FULL;

	if (json && !listing->begun)
		g_string_append_c(out, '[');
	listing->begun = true;
	while (listing->next < listing->names->len && out->len < PIECE) {
		const char *name = g_ptr_array_index(listing->names, listing->next++);
		g_autoptr(GError) error = NULL;
		g_autoptr(GlPlace) place = gl_place_child(listing->folder, name, &error);

		if (place == NULL)
			g_warning("%s is left out of a listing: %s", name, error->message);
		/* Gone since the names were read, or nothing that the platform knows. */
		else if (place->type == GL_FILE || place->type == GL_FOLDER)
			append_entry(listing, out, place);
	}
	if (listing->next < listing->names->len)
		return true;
	if (json)
		g_string_append_c(out, ']');
	return false;
}
