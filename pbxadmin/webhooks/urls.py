from django.urls import path

from . import views

app_name = "webhooks"
urlpatterns = [
    path("webhooks/", views.webhook_list, name="webhook-list"),
    path("webhooks/add/", views.webhook_add_page, name="webhook-add"),
    path("webhooks/<int:pk>/", views.webhook_page, name="webhook-page"),
    path("webhooks/<int:pk>/edit/", views.webhook_edit_view, name="webhook-edit"),
    path("webhooks/<int:pk>/test/", views.webhook_test_view, name="webhook-test"),
    path("webhooks/<int:pk>/rotate/", views.webhook_rotate_view, name="webhook-rotate"),
    path("webhooks/<int:pk>/switch/", views.webhook_switch_view, name="webhook-switch"),
    path("webhooks/<int:pk>/delete/", views.webhook_delete_page, name="webhook-delete"),
    path("webhooks/deliveries/<int:pk>/send/", views.delivery_send_again_view, name="delivery-send-again"),
]
