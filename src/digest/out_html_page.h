/* SPDX-License-Identifier: MIT */
/*
 * The constant parts of the HTML page. Their hashes go into the page's content security policy, so
 * a browser runs and applies these and nothing a mail might bring.
 */
#ifndef SV_DIGEST_OUT_HTML_PAGE_H
#define SV_DIGEST_OUT_HTML_PAGE_H

extern const char html_page_style[];
extern const char html_page_script[];

#endif
